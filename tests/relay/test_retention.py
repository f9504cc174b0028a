"""How long webhooks are kept, on a real PostgreSQL."""

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import Webhook
from infra.api import webhooks
from infra.postgres.connections import connect_async
from infra.settings import ApiSettings, InboxSettings
from relay.retention import Retention
from tests.support.environment import Environment

pytestmark = pytest.mark.stack

NEWS = Outcome(kind="UNKNOWN", code="news")
YEAR = timedelta(days=365)


async def _tell(environment: Environment, *bodies: tuple[str, ...]) -> None:
    """One delivery for each, of so many events."""
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        for names in bodies:
            notices = [Notice(name, "a", outcome=NEWS) for name in names]
            await webhooks._store(connection, "stripe", "eu", Webhook({}, repr(names).encode()), notices)


async def _forget(environment: Environment, kept_for: timedelta = YEAR, batch: int = 1000) -> int:
    settings = environment.settings(InboxSettings, "inbox", accounts_file="not read here")
    async with await connect_async(settings, "inbox") as connection:
        return await Retention(connection, kept_for, batch).run_once()


def _age(owner: psycopg.Connection, days: int, state: str = "done") -> None:
    owner.execute(
        "UPDATE webhooks_in SET state = %s, received_at = now() - %s * interval '1 day'", (state, days)
    )


def _kept(owner: psycopg.Connection) -> tuple[list[str], int]:
    events = [name for (name,) in owner.execute("SELECT event_id FROM webhooks_in ORDER BY event_id")]
    row = owner.execute("SELECT count(*) FROM webhook_deliveries").fetchone()
    assert row is not None
    return events, row[0]


async def test_what_is_done_with_goes_after_its_time_and_its_body_with_it(environment, owner):
    await _tell(environment, ("evt_1", "evt_2"), ("evt_3",))
    _age(owner, 366)
    owner.execute("UPDATE webhooks_in SET received_at = now() - interval '364 days' WHERE event_id = 'evt_3'")

    assert await _forget(environment) == 2

    assert _kept(owner) == (["evt_3"], 1)


@pytest.mark.parametrize("state", ["waiting", "unmatched"])
async def test_evidence_of_what_is_still_open_stays_with_all_that_came_with_it(environment, owner, state):
    await _tell(environment, ("evt_1", "evt_2"))
    _age(owner, 9000)
    owner.execute("UPDATE webhooks_in SET state = %s WHERE event_id = 'evt_1'", (state,))

    assert await _forget(environment) == 1

    assert _kept(owner) == (["evt_1"], 1)


@pytest.mark.parametrize(
    ("status", "frozen", "kept"),
    [
        ("CAPTURED", False, False),
        ("REFUNDED", False, False),
        ("CAPTURED", True, True),
        ("IN_DOUBT", False, True),
        ("DISPUTED", False, True),
        (None, False, True),  # the read models are being built
    ],
)
async def test_evidence_about_a_payment_that_is_open_stays(environment, owner, *, status, frozen, kept):
    payment: UUID = uuid4()
    await _tell(environment, ("evt_1",))
    _age(owner, 9000)
    owner.execute("UPDATE webhooks_in SET payment_id = %s", (payment,))
    if status is not None:
        read = sql.Identifier(f"{environment.schema}_read", "payments")
        insert = "INSERT INTO {} (payment_id, status, frozen, version) VALUES (%s, %s, %s, 1)"
        owner.execute(sql.SQL(insert).format(read), (payment, status, frozen))

    await _forget(environment)

    assert bool(_kept(owner)[0]) is kept


async def test_a_batch_is_bounded_and_the_oldest_go_first(environment, owner):
    await _tell(environment, *((f"evt_{number}",) for number in range(5)))
    _age(owner, 9000)
    owner.execute(
        "UPDATE webhooks_in SET received_at = now() - interval '9001 days' WHERE event_id = 'evt_4'"
    )

    assert await _forget(environment, batch=2) == 2
    assert "evt_4" not in _kept(owner)[0]
    assert await _forget(environment, batch=2) == 2
    assert await _forget(environment, batch=2) == 1
    assert _kept(owner) == ([], 0)


async def test_a_closed_one_goes_after_its_time_and_what_an_operator_said_of_it_stays(environment, owner):
    await _tell(environment, ("evt_1",))
    _age(owner, 400, "unmatched")
    owner.execute("SELECT close_webhook(id, NULL, 'Kim', 'done', 'a ticket') FROM webhooks_in")

    assert await _forget(environment) == 1

    assert _kept(owner) == ([], 0)
    assert owner.execute("SELECT event_id, who FROM webhook_closings").fetchall() == [("evt_1", "Kim")]


async def test_no_setting_forgets_what_a_psp_may_still_send(environment, owner):
    await _tell(environment, ("evt_1",))
    _age(owner, 44)

    assert await _forget(environment, timedelta(0)) == 0
    assert _kept(owner) == (["evt_1"], 1)


async def test_a_transmission_goes_once_it_is_too_old_to_be_taken(environment, owner):
    owner.execute(
        "INSERT INTO webhook_transmissions (account, transmission, body_sha256, received_at) VALUES "
        "('pp', 'old', '', now() - interval '5 days'), ('pp', 'new', '', now() - interval '3 days')"
    )

    assert await _forget(environment) == 1

    assert owner.execute("SELECT transmission FROM webhook_transmissions").fetchall() == [("new",)]


@pytest.mark.parametrize("role", ["api", "gateway", "read_models", "audit"])
def test_nobody_else_may_forget_anything(environment, role):
    with environment.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT forget_webhooks('1 day', 1)")
