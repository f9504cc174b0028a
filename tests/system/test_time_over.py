"""A hold whose time ends by our clock, where the PSP reports nothing: it is queried before it
is voided."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from aggregates.operation import operation_id
from commands.client import Client
from tests.support.environment import Environment
from tests.support.processes import ALL, Running

pytestmark = pytest.mark.stack

_BRAINTREE = """
[merchants.demo]
accounts = ["sim-braintree"]
[accounts.sim-braintree]
gateway = "braintree"
base_url = "http://127.0.0.1:{port}/braintree"
secret_file = "sim-braintree.key"
[accounts.sim-braintree.options]
public_key = "for_tests_only"
merchant_accounts = "EUR=demo_eur"
"""
# It has no address for webhooks, so it sends none.
_SIMULATED = """
[accounts.sim-braintree]
gateway = "braintree"
login = "for_tests_only"
secret = "of_tests_alone"
[accounts.sim-braintree.options]
merchant_accounts = "EUR=demo_eur"
"""
_PAST_ITS_LIFE_S = 8 * 86_400


@dataclass
class FakePsp:
    stack: Running
    client: Client
    http: aiohttp.ClientSession

    async def holds(self, key: str) -> UUID:
        card = {"amount_minor": 2000, "currency": "EUR", "payment_method": "braintree:fake-valid-visa-nonce"}
        reply = await self.client.pay(timeout_s=60, idempotency_key=key, capture="manual", **card)
        assert reply.status == "AUTHORIZED"
        assert reply.payment_id is not None
        return reply.payment_id

    async def by_hand(self, payment: UUID, do: str) -> None:
        requested = {
            "gateway": "braintree",
            "account": "sim-braintree",
            "reference": operation_id(payment, "authorize", 1),
        }
        url = f"http://127.0.0.1:{self.stack.simulator_port}/_simulator/dashboard"
        async with self.http.post(url, json={**requested, "do": do}) as response:
            assert response.status == 200, await response.text()

    async def operations(self, payment: UUID) -> list[Any]:
        return await self.stack.rows(
            "SELECT kind, state, code FROM operations WHERE payment_id = %s AND ordinal > 1", payment
        )


async def test_what_a_colleague_did_untold_is_found_when_the_holds_time_is_over_and_only_what_is_held_is_voided(
    environment: Environment, tmp_path: Path
):
    """At Braintree a void would give back what the colleague has captured."""
    stack, clock = Running(environment, tmp_path, accounts_text=_BRAINTREE), tmp_path / "clock"
    stack.simulator_accounts.write_text(_SIMULATED)
    (tmp_path / "sim-braintree.key").write_text("of_tests_alone")
    clock.write_text("0")
    try:
        await stack.start(*(name for name in ALL if name not in {"command", "gateway"}))
        await stack.start("command", clock_offset_s=clock)
        await stack.start("gateway", gateway="braintree")
        async with stack.client() as client, aiohttp.ClientSession() as http:
            till = FakePsp(stack, client, http)
            captured, canceled, held = [await till.holds(key) for key in ("captured", "canceled", "held")]
            await till.by_hand(captured, "capture")
            await till.by_hand(canceled, "cancel")

            clock.write_text(str(_PAST_ITS_LIFE_S))
            await _wake(stack)

            await stack.has_status(captured, "CAPTURED")
            await stack.has_status(canceled, "EXPIRED")
            await stack.has_status(held, "EXPIRED")
            assert await till.operations(captured) == [("capture", "APPROVED", "external")]
            assert await till.operations(canceled) == []
            ((kind, state, _),) = await till.operations(held)
            assert (kind, state) == ("void", "APPROVED")
        assert [one.kind for one in stack.movements(captured)] == ["authorized", "captured"]
        for payment in (canceled, held):
            assert [one.kind for one in stack.movements(payment)] == ["authorized", "released"]
        assert (await stack.verdict()).ok
    finally:
        await stack.stop()


async def _wake(stack: Running) -> None:
    """PostgreSQL's clock, by which the timers go, cannot be set ahead: their rows become due instead."""
    rows = await stack.rows("UPDATE payment_timers SET wake_at = now() WHERE wake_at > now() RETURNING 1")
    assert len(rows) == 3
