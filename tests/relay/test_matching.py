"""Webhooks that match no payment yet, or none at all."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.messages import RecordDispute, RecordOutcome
from infra.postgres import unmatched_webhooks
from infra.postgres.connections import connect_async
from infra.settings import DatabaseSettings
from relay.inbox import FOREIGN, TRIED_FOR_S, TRY_AFTER_S, UNMATCHED
from tests.relay.webhooks import DISPUTE, make_due, make_notice, reports, start_payment, store, stored
from tests.support.builders import create_payment
from tests.support.decider_harness import captured
from tests.support.environment import Environment

pytestmark = pytest.mark.stack


async def test_what_comes_before_its_payment_is_known_waits_and_is_matched_then(
    environment, harness, owner, inbox
):
    await store(environment, make_notice(psp_id="pi_1", outcome=None, dispute=DISPUTE))
    await inbox.run_once()
    assert stored(owner) == [("waiting", "no_payment", None)]
    assert await inbox.run_once() == 0  # not due yet

    payment = captured(harness)
    make_due(owner)
    await inbox.run_once()

    assert stored(owner) == [("done", None, payment)]
    assert [report.payment_id for report in await reports(environment)] == [payment]


async def test_an_operation_that_the_payment_does_not_have_waits_and_freezes_nothing(
    environment, harness, owner, inbox
):
    payment, _ = start_payment(harness)
    await store(
        environment, make_notice(f"{payment.hex}-s9"), make_notice(f"{uuid4().hex}-s1", event_id="evt_2")
    )

    await inbox.run_once()

    assert stored(owner) == [("waiting", "no_payment", None)] * 2
    assert await reports(environment) == []


async def test_each_try_comes_later_than_the_one_before_up_to_an_hour(environment, owner, inbox):
    await store(environment, make_notice(psp_id="pi_of_nobody"))
    waits = []
    for _ in range(len(TRY_AFTER_S) + 1):
        assert await inbox.run_once() == 1
        (wait_s,) = owner.execute(
            "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM webhooks_in"
        ).fetchone()
        waits.append(wait_s)
        make_due(owner)

    assert waits == pytest.approx([*TRY_AFTER_S, TRY_AFTER_S[-1]], abs=0.9)


@pytest.mark.parametrize(
    ("reference", "state", "counter"),
    [
        ("0" * 32 + "-s1", "unmatched", UNMATCHED.labels("of-nobody", "no_payment")),
        # Thousands a day may be another shop's on the same account.
        (None, "done", FOREIGN.labels("of-nobody")),
    ],
)
async def test_what_matches_nothing_for_three_days_takes_an_operator_if_it_has_a_reference_of_ours(
    environment, owner, inbox, *, reference, state, counter
):
    before = counter._value.get()
    await store(environment, make_notice(reference, psp_id="pi_of_nobody"), account="of-nobody")
    owner.execute(
        "UPDATE webhooks_in SET received_at = received_at - %s", (timedelta(seconds=TRIED_FOR_S - 60),)
    )
    await inbox.run_once()
    assert stored(owner) == [("waiting", "no_payment", None)]
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '2 minutes'")
    make_due(owner)

    await inbox.run_once()

    assert stored(owner) == [(state, "no_payment", None)]
    assert counter._value.get() - before == 1


async def test_what_took_an_operator_is_looked_at_daily_and_closes_itself_once_its_payment_is_found(
    environment, harness, owner, inbox
):
    counter = UNMATCHED.labels("sim-eu", "no_payment")
    reference = f"{create_payment().payment_id.hex}-s1"
    await store(environment, make_notice(reference, outcome=None, dispute=DISPUTE))
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '4 days'")
    await inbox.run_once()
    before = counter._value.get()
    in_a_day = "UPDATE webhooks_in SET next_try_at = next_try_at - interval '1 day'"
    owner.execute(in_a_day)

    assert await inbox.run_once() == 1
    assert (stored(owner), counter._value.get()) == ([("unmatched", "no_payment", None)], before)
    assert await inbox.run_once() == 0  # a day has to pass

    payment = captured(harness)
    owner.execute(in_a_day)
    assert await inbox.run_once() == 1
    assert stored(owner) == [("done", None, payment)]
    assert [report.payment_id for report in await reports(environment)] == [payment]


@pytest.mark.parametrize("again", ["reported", "a day later"])
async def test_what_an_operator_has_closed_is_believed_once_its_payment_is_there(
    environment, harness, owner, inbox, again
):
    notice = make_notice(f"{create_payment().payment_id.hex}-s1", outcome=None, dispute=DISPUTE)
    await store(environment, notice)
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '4 days'")
    await inbox.run_once()
    owner.execute("SELECT close_webhook(id, NULL, 'Kim', 'done', 'a ticket') FROM webhooks_in")

    async def look_again() -> int:
        if again == "reported":
            await store(environment, notice)
        else:
            owner.execute("UPDATE webhooks_in SET next_try_at = next_try_at - interval '1 day'")
        return await inbox.run_once()

    assert await look_again() == 1
    assert stored(owner) == [("closed", "no_payment", None)]
    assert (await inbox.run_once(), await _named(environment)) == (0, [])

    payment = captured(harness)
    assert await _named(environment) == [payment]
    assert await look_again() == 1
    assert stored(owner) == [("done", None, payment)]
    assert [report.payment_id for report in await reports(environment)] == [payment]
    assert await _named(environment) == []


async def test_what_is_closed_while_the_inbox_has_it_stays_closed(environment, owner, inbox, monkeypatch):
    await store(environment, make_notice(f"{create_payment().payment_id.hex}-s1"))
    owner.execute("UPDATE webhooks_in SET received_at = received_at - interval '4 days'")
    await inbox.run_once()
    owner.execute("UPDATE webhooks_in SET next_try_at = now()")
    rows = await inbox._take()

    owner.execute("SELECT close_webhook(id, NULL, 'Kim', 'done', 'a ticket') FROM webhooks_in")

    async def taken() -> list[dict[str, Any]]:
        return rows

    monkeypatch.setattr(inbox, "_take", taken)
    await inbox.run_once()

    assert stored(owner) == [("closed", "no_payment", None)]


async def test_what_is_signed_as_one_before_is_reported_as_that_within_its_account(
    environment, harness, owner, inbox
):
    _, reference = start_payment(harness)
    say = partial(make_notice, reference, signed_as="the same", dispute=DISPUTE)
    await store(environment, say(), account="sim-us")
    await store(environment, say())
    await store(environment, say(event_id="evt_2", at=datetime(2026, 11, 30, tzinfo=UTC)))
    await store(
        environment, make_notice(reference, "evt_3", signed_as="another"), make_notice(reference, "evt_4")
    )

    await inbox.run_once()

    flags = [(type(report), report.signed_before) for report in await reports(environment)]
    assert flags == [
        (RecordOutcome, False),
        (RecordDispute, False),
        (RecordOutcome, True),
        (RecordDispute, True),
        (RecordOutcome, False),
        (RecordOutcome, False),
    ]


async def _named(environment: Environment) -> list[UUID]:
    """By `aegispay doubt list`."""
    async with await connect_async(environment.settings(DatabaseSettings, "audit"), "test") as connection:
        return [one.payment_id for one in await unmatched_webhooks.oldest(connection, 10)]


@pytest.mark.parametrize(("account", "gateway"), [("sim-us", "stripe"), ("sim-eu", "adyen")])
async def test_an_account_is_not_believed_about_an_operation_of_another(
    environment, harness, owner, inbox, *, account, gateway
):
    _, operation = start_payment(harness)
    await store(environment, make_notice(operation), account=account, gateway=gateway)

    await inbox.run_once()

    assert stored(owner) == [("unmatched", "other_account", None)]
    assert await reports(environment) == []


async def test_an_id_at_the_psp_is_looked_for_within_its_account(environment, harness, owner, inbox):
    captured(harness)
    await store(environment, make_notice(psp_id="pi_1"), account="sim-us")

    await inbox.run_once()

    assert stored(owner) == [("waiting", "no_payment", None)]


async def test_what_reports_nothing_of_a_payment_is_done_at_once(environment, owner, inbox):
    await store(environment, make_notice(outcome=None))

    assert await inbox.run_once() == 1

    assert stored(owner) == [("done", None, None)]
    assert await reports(environment) == []


@pytest.mark.parametrize("reference", [None, "order 7", "x-s1"])
async def test_what_names_nothing_of_ours_takes_an_operator_at_once(environment, owner, inbox, reference):
    await store(environment, make_notice(reference))

    await inbox.run_once()

    assert stored(owner) == [("unmatched", "no_way", None)]
