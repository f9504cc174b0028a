from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from aggregates import outcomes, timers
from aggregates.money import Money
from aggregates.payment import Payment
from commands.messages import CapturePayment, CreatePayment, dump
from projections import batch, in_doubt
from projections.cursors import Cursor
from projections.in_doubt import FIRST_PAGE, AtRisk, Doubt
from tests.support import builders, event_stories
from tests.support.builders import NOW
from tests.support.environment import Environment
from tests.support.event_stories import event_of, read_models_connection, stored

stack = pytest.mark.stack
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def environment(database):
    return database


async def take_in(environment: Environment, *payments: Payment) -> None:
    async with read_models_connection(environment) as conn:
        events = [event_of(one) for payment in payments for one in stored(payment)]
        await batch.apply(conn, events, {}, NOW)


def park(environment: Environment, payment_id: UUID, *waiting: CreatePayment | CapturePayment) -> None:
    with psycopg.connect(environment.dsn("command"), options=f"-c search_path={environment.schema}") as conn:
        conn.execute(
            "INSERT INTO parked_streams (payment_id, reason, since) VALUES (%s, 'KeyError at apply:1', %s)",
            [payment_id, NOW],
        )
        conn.cursor().executemany(
            "INSERT INTO parked_records (payment_id, topic, partition, record_offset, correlation_id, message)"
            " VALUES (%s, 'payments.commands', 0, %s, 'c', %s)",
            [(payment_id, offset, dump(message)) for offset, message in enumerate(waiting)],
        )


async def listed(
    environment: Environment, merchant_id: str | None = "demo", now: datetime = NOW + MINUTE
) -> list[Doubt]:
    async with await psycopg.AsyncConnection.connect(
        environment.dsn("audit" if merchant_id is None else "api"),
        autocommit=True,
        options=f"-c search_path={environment.schema},{environment.schema}_read",
    ) as conn:
        found: list[Doubt] = []
        after: Cursor | None = FIRST_PAGE
        while after is not None:
            if merchant_id is None:
                page, after = await in_doubt.page_of_all(conn, now, after, 2)
            else:
                page, after = await in_doubt.page(conn, merchant_id, now, after, 2)
            found += page
            after = None if after is None else Cursor.parse(str(after))
        return found


async def totals(
    environment: Environment,
    merchant_id: str | None = "demo",
    now: datetime = NOW + MINUTE,
    *,
    manual: bool = False,
) -> list[AtRisk]:
    role = "audit" if merchant_id is None else "api"
    async with await psycopg.AsyncConnection.connect(
        environment.dsn(role),
        autocommit=True,
        options=f"-c search_path={environment.schema},{environment.schema}_read",
    ) as conn:
        if merchant_id is None:
            return await in_doubt.totals_of_all(conn, now, manual=manual)
        return await in_doubt.totals(conn, merchant_id, now)


def frozen(**fields) -> Payment:
    payment = event_stories.requested(**fields)
    for psp_id in ("pi_1", "pi_2"):
        report = builders.report(builders.operation_of(payment), psp_id=psp_id)
        outcomes.take(payment, report, builders.ROUTE, builders.cause(NOW, uuid4()))
    return payment


@stack
async def test_nothing_is_in_doubt_when_all_outcomes_are_known(environment):
    await take_in(environment, builders.captured())

    assert (await listed(environment), await totals(environment)) == ([], [])


@stack
async def test_an_operation_without_any_response_is_listed_after_a_day(environment):
    payment = event_stories.requested()
    timers.wake(payment, builders.ROUTE, builders.cause(NOW + 23 * HOUR, uuid4()))
    await take_in(environment, payment)
    assert await listed(environment, now=NOW + 23 * HOUR) == []

    timers.wake(payment, builders.ROUTE, builders.cause(NOW + 24 * HOUR, uuid4()))
    await take_in(environment, payment)

    (doubt,) = await listed(environment, now=NOW + 24 * HOUR)
    assert doubt.operation_id == builders.operation_of(payment)
    assert (doubt.since, doubt.reason, doubt.manual) == (NOW, "unknown", True)


@stack
async def test_an_operation_without_an_outcome_is_listed_with_its_money_until_it_has_one(environment):
    payment = event_stories.in_doubt()
    operation = builders.operation_of(payment)
    timers.wake(payment, builders.ROUTE, builders.cause(NOW + MINUTE, uuid4()))
    await take_in(environment, payment)

    assert await listed(environment) == [
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
            queries=1,
            reason="unknown",
            manual=False,
            parked=False,
            frozen=False,
        )
    ]
    report = builders.report(operation)
    outcomes.take(payment, report, builders.ROUTE, builders.cause(NOW + MINUTE, uuid4()))
    await take_in(environment, payment)
    assert await listed(environment) == []


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
async def test_the_totals_have_the_age_and_after_a_day_need_an_operator(environment, age, cell, manual):
    await take_in(environment, event_stories.in_doubt())

    found = AtRisk("stripe", "sim-eu", "EUR", cell, payments=1, manual=manual, amount_minor=1099)
    assert await totals(environment, now=NOW + age) == [found]
    assert await totals(environment, None, NOW + age, manual=True) == [found] * manual
    assert [bool(manual)] == [one.manual for one in await listed(environment, now=NOW + age)]


@stack
async def test_the_totals_add_up_by_currency(environment):
    many = [event_stories.in_doubt() for _ in range(3)] + [event_stories.in_doubt(amount=Money(500, "JPY"))]
    await take_in(environment, *many)

    assert [(cell.currency, cell.payments, cell.amount_minor) for cell in await totals(environment)] == [
        ("EUR", 3, 3297),
        ("JPY", 1, 500),
    ]


@stack
async def test_a_merchant_sees_its_own_and_an_operator_sees_all(environment):
    mine, another = event_stories.in_doubt(), event_stories.in_doubt(merchant_id="other")
    await take_in(environment, mine, another)
    park(environment, uuid4())

    assert [one.payment_id for one in await listed(environment)] == [mine.id]
    assert [one.payment_id for one in await listed(environment, "other")] == [another.id]
    assert await listed(environment, "nobody") == []
    assert sum(cell.payments for cell in await totals(environment, "other")) == 1
    assert len(await listed(environment, None)) == 3
    assert sum(cell.payments for cell in await totals(environment, None)) == 3


@stack
async def test_a_frozen_payment_is_there_for_an_operator_at_once(environment):
    payment = frozen()
    await take_in(environment, payment)

    (doubt,) = await listed(environment)

    assert (doubt.reason, doubt.manual, doubt.frozen) == ("contradiction", True, True)
    assert (doubt.operation_id, doubt.amount_minor) == (builders.operation_of(payment), 1099)
    assert doubt.detail.startswith("executed twice")
    assert [(cell.payments, cell.manual) for cell in await totals(environment)] == [(1, 1)]


@stack
async def test_what_is_both_in_doubt_and_parked_is_listed_once(environment):
    payment = event_stories.in_doubt()
    await take_in(environment, payment)
    park(environment, payment.id)

    (doubt,) = await listed(environment)

    assert (doubt.reason, doubt.parked) == ("unknown", True)


@stack
async def test_a_parked_payment_counts_with_its_rows_amount(environment):
    payment = builders.captured()
    await take_in(environment, payment)
    park(environment, payment.id)

    (doubt,) = await listed(environment)

    assert (doubt.reason, doubt.manual, doubt.amount_minor, doubt.operation_id) == (
        "parked",
        True,
        1099,
        None,
    )
    assert doubt.detail == "KeyError at apply:1"
    assert doubt.since == NOW


@stack
async def test_a_parked_create_counts_with_what_it_asks_for(environment):
    create = builders.create_payment()
    capture = CapturePayment(command_id=uuid4(), payment_id=create.payment_id, merchant_id="other")
    park(environment, create.payment_id, capture, create)

    (doubt,) = await listed(environment)

    assert (doubt.merchant_id, doubt.amount_minor, doubt.currency) == ("demo", 1099, "EUR")
    assert await listed(environment, "other") == []


@stack
async def test_pages_go_on_oldest_first_and_miss_none(environment):
    payments = [event_stories.in_doubt() for _ in range(5)]
    await take_in(environment, *payments, frozen())
    park(environment, uuid4(), builders.create_payment())

    found = await listed(environment)

    assert len(found) == 7
    assert [(one.since, one.payment_id) for one in found] == sorted(
        (one.since, one.payment_id) for one in found
    )


@stack
async def test_the_figures_are_those_of_all_merchants(environment):
    await take_in(
        environment, event_stories.in_doubt(), event_stories.in_doubt(merchant_id="other"), frozen()
    )
    park(environment, uuid4())

    async with read_models_connection(environment) as conn:
        figures = await in_doubt.figures(conn, NOW + HOUR)

    assert figures == in_doubt.Figures(
        payments=4, manual=2, oldest_s=3600.0, amounts={("stripe", "EUR"): 3297, ("", ""): 0}
    )


@stack
async def test_the_figures_are_zero_when_nothing_is_in_doubt(environment):
    async with read_models_connection(environment) as conn:
        assert await in_doubt.figures(conn, NOW) == in_doubt.Figures(0, 0, 0.0, {})
