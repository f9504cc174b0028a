from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from aggregates import attempts, merchant_commands, review, timers
from aggregates.hooks import Verdict
from aggregates.payment import Payment
from projections import batch, fold, reviews
from projections.rows import PaymentRow, settle
from tests.support.builders import NOW, REVIEW, ROUTE, cause, payment_request
from tests.support.event_stories import event_of, read_models_connection, stored


def held(key: str, minutes: int = 0, verdict: Verdict = REVIEW) -> Payment:
    at = cause(NOW + timedelta(minutes=minutes), uuid4(), fingerprint="f" * 64)
    return attempts.request(uuid4(), payment_request(idempotency_key=key), ROUTE, at, [verdict])


def decided(decision) -> Payment:
    made = held(decision)
    review.decide(made, decision, ROUTE, cause(NOW, uuid4(), fingerprint="r"), evidence="a call", who="ada")
    return made


def expired() -> Payment:
    made = held("expired")
    timers.wake(made, ROUTE, cause(made.expires_at, uuid4()))
    return made


def canceled() -> Payment:
    made = held("canceled")
    merchant_commands.cancel(made, cause(NOW, uuid4(), fingerprint="c"))
    return made


@pytest.mark.parametrize(
    ("make", "is_held"),
    [
        (lambda: held("held"), True),
        (lambda: decided("allow"), False),
        (lambda: decided("deny"), False),
        (expired, False),
        (canceled, False),
    ],
)
def test_the_row_is_held_as_long_as_the_payment_is(make, is_held):
    made = make()
    status, reason = made.status, made.reason
    row = PaymentRow(str(made.id))

    for one in stored(made):
        fold.apply(row, event_of(one))
    settle(row)

    assert (row.status, row.held_since is not None) == (status, is_held)
    assert row.reason == reason


@pytest.mark.stack
async def test_a_merchants_held_payments_are_listed_page_by_page_the_longest_held_first(database):
    waiting = [held(f"order-{number}", minutes=number) for number in (2, 0, 1)]
    async with read_models_connection(database) as conn:
        events = [event_of(one) for made in (*waiting, decided("allow")) for one in stored(made)]
        await batch.apply(conn, events, {}, NOW)

    async with await psycopg.AsyncConnection.connect(
        database.dsn("audit"),
        autocommit=True,
        options=f"-c search_path={database.schema},{database.schema}_read",
    ) as conn:
        first, cursor = await reviews.page(conn, "demo", reviews.FIRST_PAGE, 2)
        rest, end = await reviews.page(conn, "demo", cursor, 2)
        nobodys = await reviews.page(conn, "other", reviews.FIRST_PAGE, 2)
        everyones = await reviews.oldest(conn, 10)

    assert [one.payment_id for one in first + rest] == [waiting[number].id for number in (1, 2, 0)]
    assert (end, nobodys) == (None, ([], None))
    assert everyones == first + rest
    assert first[0].reason == "velocity (score 0.82): 9 payments within an hour"
    assert (first[0].held_since, first[0].expires_at) == (NOW, waiting[0].expires_at)
