"""A provider behind Stripe that did not respond in time, through every process: whether it charged or not,
the customer is charged once."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.processes import Running

pytestmark = pytest.mark.stack

CARD: dict[str, Any] = {"amount_minor": 1099, "currency": "EUR"}


async def _history(stack: Running, payment: UUID) -> list[tuple[str, str | None]]:
    """Each attempt with its account, each call of AegisPay's own with its kind, and each outcome."""
    rows = await stack.rows(
        "SELECT topic, coalesce(state ->> 'how', state ->> 'account') FROM"
        " (SELECT topic, originator_version, convert_from(state, 'UTF8')::jsonb AS state FROM payment_events"
        " WHERE originator_id = %s) events WHERE topic LIKE 'operation.%%' ORDER BY originator_version",
        payment,
    )
    return [(topic.removeprefix("operation.").removesuffix(".v1"), what) for topic, what in rows]


async def test_one_that_did_not_charge_leads_to_the_next_account_once_the_psp_has_shown_it(stack: Running):
    async with stack.client(merchant_id="failover") as client:
        method = {"payment_method": "pm_sim_provider_timeout_here"}
        reply = await client.pay(idempotency_key="provider-timeout", timeout_s=60, **CARD, **method)

    assert reply.status == "CAPTURED"
    assert reply.payment_id is not None
    assert [(one.kind, one.account) for one in stack.movements(reply.payment_id)] == [("captured", "sim-us")]
    assert await _history(stack, reply.payment_id) == [
        ("started", "sim-eu"),
        ("unknown", None),
        ("follow_up_requested", "query"),
        ("declined_soft", None),
        ("started", "sim-us"),
        ("approved", None),
    ]
    assert (await stack.verdict()).ok


async def test_one_that_charged_all_the_same_never_leads_to_another_account(stack: Running):
    async with stack.client(merchant_id="failover") as client:
        method = {"payment_method": "pm_sim_provider_timeout_charged"}
        reply = await client.pay(idempotency_key="provider-charged", timeout_s=60, **CARD, **method)

    assert reply.status == "CAPTURED"
    assert reply.payment_id is not None
    assert [(one.kind, one.account) for one in stack.movements(reply.payment_id)] == [("captured", "sim-eu")]
    assert await _history(stack, reply.payment_id) == [
        ("started", "sim-eu"),
        ("unknown", None),
        ("follow_up_requested", "query"),
        ("approved", None),
    ]
    assert (await stack.verdict()).ok
