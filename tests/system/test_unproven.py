"""A provider behind Stripe that did not respond in time, through every process: whether it charged or not,
the customer is charged once."""

from typing import Any
from uuid import UUID

import pytest

from commands.client import Client, NotSettled, Reply
from tests.support.processes import Running

pytestmark = pytest.mark.stack

CARD: dict[str, Any] = {"amount_minor": 1099, "currency": "EUR"}


async def _settled(client: Client, key: str, method: str) -> Reply:
    """Pays. A query that comes too early, or whose response is late on a busy machine, leaves the payment to
    the schedule's next one, minutes later: then one is asked for."""
    reply = await client.create_payment(idempotency_key=key, payment_method=method, **CARD)
    assert reply.payment_id is not None
    try:
        return await client.wait_settled(reply, 45)
    except NotSettled:
        await client.retry_status_query(reply.payment_id, idempotency_key=f"{key}-query")
        return await client.wait_settled(reply, 60)


async def _history(stack: Running, payment: UUID) -> list[tuple[str, str | None]]:
    """Each attempt with its account, each call of AegisPay's own with its kind, and each outcome; a query
    that brought nothing, and the next one, count as one."""
    rows = await stack.rows(
        "SELECT topic, coalesce(state ->> 'how', state ->> 'account') FROM"
        " (SELECT topic, originator_version, convert_from(state, 'UTF8')::jsonb AS state FROM payment_events"
        " WHERE originator_id = %s) events WHERE topic LIKE 'operation.%%' ORDER BY originator_version",
        payment,
    )
    named = [(topic.removeprefix("operation.").removesuffix(".v1"), what) for topic, what in rows]
    doubt = [("unknown", None), ("follow_up_requested", "query")]
    return [one for at, one in enumerate(named) if one not in doubt or one not in named[max(at - 2, 0) : at]]


async def test_one_that_did_not_charge_leads_to_the_next_account_once_the_psp_has_shown_it(stack: Running):
    async with stack.client(merchant_id="failover") as client:
        reply = await _settled(client, "provider-timeout", "pm_sim_provider_timeout_here")

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
        reply = await _settled(client, "provider-charged", "pm_sim_provider_timeout_charged")

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
