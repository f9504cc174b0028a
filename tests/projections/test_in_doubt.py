from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from aggregates import reports, wakes
from aggregates.money import Money
from aggregates.payment import Payment
from commands.messages import CapturePayment, CreatePayment, dump
from projections import batch, in_doubt
from projections.customer_payments import CursorInvalid
from projections.in_doubt import FIRST_PAGE, AtRisk, Cursor, Doubt
from tests import controls
from tests.controls import NOW
from tests.place import Place
from tests.projections import stories
from tests.projections.stories import event_of, stored, views_connection

stack = pytest.mark.stack
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def place(database):
    return database


async def take_in(place: Place, *payments: Payment) -> None:
    async with views_connection(place) as conn:
        events = [event_of(one) for payment in payments for one in stored(payment)]
        await batch.apply(conn, events, {}, NOW)


def park(place: Place, payment_id: UUID, *waiting: CreatePayment | CapturePayment) -> None:
    with psycopg.connect(place.dsn("command"), options=f"-c search_path={place.schema}") as conn:
        conn.execute(
            "INSERT INTO parked_streams (payment_id, reason, since) VALUES (%s, 'KeyError at apply:1', %s)",
            [payment_id, NOW],
        )
        conn.cursor().executemany(
            "INSERT INTO parked_records (payment_id, topic, partition, record_offset, correlation_id, message)"
            " VALUES (%s, 'payments.commands', 0, %s, 'c', %s)",
            [(payment_id, offset, dump(message)) for offset, message in enumerate(waiting)],
        )


async def listed(place: Place, merchant_id: str | None = "demo", now: datetime = NOW + MINUTE) -> list[Doubt]:
    async with await psycopg.AsyncConnection.connect(
        place.dsn("audit" if merchant_id is None else "api"),
        autocommit=True,
        options=f"-c search_path={place.schema},{place.schema}_read",
    ) as conn:
        found: list[Doubt] = []
        after: Cursor | None = FIRST_PAGE
        while after is not None:
            if merchant_id is None:
                page, after = await in_doubt.everyones_page(conn, now, after, 2)
            else:
                page, after = await in_doubt.page(conn, merchant_id, now, after, 2)
            found += page
            after = None if after is None else Cursor.parse(str(after))
        return found


async def board(place: Place, merchant_id: str | None = "demo", now: datetime = NOW + MINUTE) -> list[AtRisk]:
    role = "audit" if merchant_id is None else "api"
    async with await psycopg.AsyncConnection.connect(
        place.dsn(role), autocommit=True, options=f"-c search_path={place.schema},{place.schema}_read"
    ) as conn:
        if merchant_id is None:
            return await in_doubt.everyones_board(conn, now)
        return await in_doubt.board(conn, merchant_id, now)


def frozen(**asked) -> Payment:
    payment = stories.requested(**asked)
    for psp_id in ("pi_1", "pi_2"):
        said = controls.report(controls.operation_of(payment), psp_id=psp_id)
        reports.take(payment, said, controls.ROUTE, controls.cause(NOW, uuid4()))
    return payment


@stack
async def test_nothing_is_in_doubt_when_all_outcomes_are_known(place):
    await take_in(place, controls.captured())

    assert (await listed(place), await board(place)) == ([], [])


@stack
async def test_an_operation_without_an_outcome_is_listed_with_its_money_until_it_has_one(place):
    payment = stories.in_doubt()
    operation = controls.operation_of(payment)
    wakes.wake(payment, controls.ROUTE, controls.cause(NOW + MINUTE, uuid4()))
    await take_in(place, payment)

    assert await listed(place) == [
        Doubt(
            payment_id=payment.id,
            merchant_id="demo",
            operation_id=operation,
            kind="sale",
            gateway="stripe",
            account="sim-eu",
            amount_minor=1099,
            currency="EUR",
            since=NOW,
            code="answer_lost",
            detail=None,
            asked=1,
            because="unknown",
            manual=False,
            parked=False,
            frozen=False,
        )
    ]
    said = controls.report(operation)
    reports.take(payment, said, controls.ROUTE, controls.cause(NOW + MINUTE, uuid4()))
    await take_in(place, payment)
    assert await listed(place) == []


@stack
@pytest.mark.parametrize(
    ("age", "cell", "manual"),
    [
        (timedelta(minutes=4, seconds=59), "under_5_min", 0),
        (timedelta(minutes=5), "under_1_h", 0),
        (HOUR, "under_24_h", 0),
        (24 * HOUR, "over_24_h", 1),
    ],
)
async def test_the_board_tells_age_and_after_a_day_calls_for_a_person(place, age, cell, manual):
    await take_in(place, stories.in_doubt())

    assert await board(place, now=NOW + age) == [
        AtRisk("stripe", "sim-eu", "EUR", cell, payments=1, manual=manual, amount_minor=1099)
    ]
    assert [bool(manual)] == [one.manual for one in await listed(place, now=NOW + age)]


@stack
async def test_the_board_adds_up_by_currency(place):
    many = [stories.in_doubt() for _ in range(3)] + [stories.in_doubt(amount=Money(500, "JPY"))]
    await take_in(place, *many)

    assert [(cell.currency, cell.payments, cell.amount_minor) for cell in await board(place)] == [
        ("EUR", 3, 3297),
        ("JPY", 1, 500),
    ]


@stack
async def test_a_merchant_sees_its_own_and_an_operator_sees_all(place):
    mine, another = stories.in_doubt(), stories.in_doubt(merchant_id="other")
    await take_in(place, mine, another)
    park(place, uuid4())

    assert [one.payment_id for one in await listed(place)] == [mine.id]
    assert [one.payment_id for one in await listed(place, "other")] == [another.id]
    assert await listed(place, "nobody") == []
    assert sum(cell.payments for cell in await board(place, "other")) == 1
    assert len(await listed(place, None)) == 3
    assert sum(cell.payments for cell in await board(place, None)) == 3


@stack
async def test_a_frozen_payment_is_there_for_a_person_at_once(place):
    payment = frozen()
    await take_in(place, payment)

    (doubt,) = await listed(place)

    assert (doubt.because, doubt.manual, doubt.frozen) == ("contradiction", True, True)
    assert (doubt.operation_id, doubt.amount_minor) == (controls.operation_of(payment), 1099)
    assert doubt.detail.startswith("executed twice")
    assert [(cell.payments, cell.manual) for cell in await board(place)] == [(1, 1)]


@stack
async def test_what_is_both_in_doubt_and_parked_is_listed_once(place):
    payment = stories.in_doubt()
    await take_in(place, payment)
    park(place, payment.id)

    (doubt,) = await listed(place)

    assert (doubt.because, doubt.parked) == ("unknown", True)


@stack
async def test_a_parked_payment_counts_with_what_its_row_says(place):
    payment = controls.captured()
    await take_in(place, payment)
    park(place, payment.id)

    (doubt,) = await listed(place)

    assert (doubt.because, doubt.manual, doubt.amount_minor, doubt.operation_id) == (
        "parked",
        True,
        1099,
        None,
    )
    assert doubt.detail == "KeyError at apply:1"
    assert doubt.since == NOW


@stack
async def test_a_parked_create_counts_with_what_it_asks_for(place):
    create = controls.create_payment()
    capture = CapturePayment(command_id=uuid4(), payment_id=create.payment_id, merchant_id="other")
    park(place, create.payment_id, capture, create)

    (doubt,) = await listed(place)

    assert (doubt.merchant_id, doubt.amount_minor, doubt.currency) == ("demo", 1099, "EUR")
    assert await listed(place, "other") == []


@stack
async def test_pages_go_on_oldest_first_and_miss_none(place):
    payments = [stories.in_doubt() for _ in range(5)]
    await take_in(place, *payments, frozen())
    park(place, uuid4(), controls.create_payment())

    found = await listed(place)

    assert len(found) == 7
    assert [(one.since, one.payment_id) for one in found] == sorted(
        (one.since, one.payment_id) for one in found
    )


@stack
async def test_the_figures_are_those_of_all_merchants(place):
    await take_in(place, stories.in_doubt(), stories.in_doubt(merchant_id="other"), frozen())
    park(place, uuid4())

    async with views_connection(place) as conn:
        figures = await in_doubt.figures(conn, NOW + HOUR)

    assert figures == in_doubt.Figures(
        payments=4, manual=2, oldest_s=3600.0, amounts={("stripe", "EUR"): 3297, ("", ""): 0}
    )


@stack
async def test_the_figures_are_zero_when_nothing_is_in_doubt(place):
    async with views_connection(place) as conn:
        assert await in_doubt.figures(conn, NOW) == in_doubt.Figures(0, 0, 0.0, {})


@pytest.mark.parametrize(
    "text", ["", "x", "e30=", "WzEsMiwzXQ==", str(Cursor("never", UUID(int=0), "")), "WyIyMDI2LTAxLTAxIl0="]
)
def test_a_cursor_that_was_not_made_here_is_refused(text):
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)
