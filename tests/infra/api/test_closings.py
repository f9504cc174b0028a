"""An operator closes an unmatched webhook by HTTP, on a real PostgreSQL."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import Webhook
from infra.api import webhooks
from infra.postgres import unmatched_webhooks
from infra.postgres.connections import connect_async
from infra.settings import ApiSettings, DatabaseSettings
from infra.tools.audit import store
from tests.support.environment import Environment
from tests.support.event_stories import captured, put_into_store

pytestmark = pytest.mark.stack

WORDS = {
    "reason": "a dispute without an amount: resolved by hand",
    "evidence": "case PP-D-4012, ticket 7",
    "who": "Kim",
}
Stored = Callable[..., Awaitable[int]]


@pytest.fixture
def payment(environment: Environment) -> UUID:
    """Of the merchant `demo`."""
    story = captured()
    put_into_store(environment, story)
    return story[0].originator_id


@pytest.fixture
def stored(environment: Environment) -> Stored:
    async def store_it(reference: str | None, event_id: str = "evt_1", state: str = "unmatched") -> int:
        notice = Notice(event_id, "charge.dispute.created", reference, outcome=Outcome(kind="UNKNOWN"))
        async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
            await webhooks._store(connection, "stripe", "sim-eu", Webhook({}, event_id.encode()), (notice,))
        with environment.connect("admin") as owner:
            row = owner.execute(
                "UPDATE webhooks_in SET state = %s, reason = 'not_valid' WHERE event_id = %s RETURNING id",
                (state, event_id),
            ).fetchone()
        assert row is not None
        return int(row[0])

    return store_it


async def named(environment: Environment) -> list[int]:
    """By `doubt list` and by `verify`, which agree."""
    async with await connect_async(environment.settings(DatabaseSettings, "audit"), "test") as connection:
        listed = [one.id for one in await unmatched_webhooks.oldest(connection, 10)]
    with environment.connect("audit") as connection, connection.transaction():
        assert [one.id for _, one in store.unmatched(connection)] == listed
    return listed


def closings(environment: Environment) -> list[tuple[Any, ...]]:
    with environment.connect("audit") as connection:
        return connection.execute(
            "SELECT webhook_id, payment_id, who, reason, evidence FROM webhook_closings"
        ).fetchall()


async def test_a_closed_webhook_is_listed_no_longer_and_its_operator_is_kept(
    api, environment, payment, stored
):
    dealt_with, other = await stored(f"{payment.hex}-s1"), await stored(f"{payment.hex}-s1", "evt_2")
    assert await named(environment) == [dealt_with, other]

    response = await api.change(payment, "close-webhook", {"webhook_id": dealt_with} | WORDS)

    assert response.status == 200, response.raw
    who = f"Kim (API key {api.key.split('_')[1]})"
    assert (response.body["webhook_id"], response.body["event_id"], response.body["who"]) == (
        dealt_with,
        "evt_1",
        who,
    )
    assert await named(environment) == [other]
    assert closings(environment) == [(dealt_with, payment, who, WORDS["reason"], WORDS["evidence"])]


async def test_a_second_close_changes_nothing_and_returns_the_first_record(api, environment, payment, stored):
    body = {"webhook_id": await stored(f"{payment.hex}-s1")} | WORDS
    first = await api.change(payment, "close-webhook", body)

    again = await api.change(payment, "close-webhook", body | {"who": "Ada", "reason": "nothing"})

    assert (again.status, again.body) == (200, first.body)
    assert len(closings(environment)) == 1


@pytest.mark.parametrize("state", ["waiting", "done"])
async def test_what_takes_no_operator_is_not_closed(api, environment, payment, stored, state):
    webhook = await stored(f"{payment.hex}-s1", state=state)

    response = await api.change(payment, "close-webhook", {"webhook_id": webhook} | WORDS)

    assert (response.status, response.body["code"]) == (404, "webhook_unknown")
    assert closings(environment) == []


async def test_nobody_closes_the_webhook_of_another_payment_or_merchant(
    api, environment, payment, stored, new_key
):
    others = await stored("0" * 32 + "-s1")
    nobodys, own = await stored(None, "evt_2"), await stored(f"{payment.hex}-s1", "evt_3")

    responses = [
        await api.change(payment, "close-webhook", {"webhook_id": webhook} | WORDS)
        for webhook in (others, nobodys, 999)
    ]
    stranger = await api.change(
        payment, "close-webhook", {"webhook_id": own} | WORDS, key=new_key("stranger")
    )
    weak = await api.change(
        payment, "close-webhook", {"webhook_id": own} | WORDS, key=new_key("demo", ["payments:write"])
    )

    assert [(one.status, one.body["code"]) for one in responses] == [(404, "webhook_unknown")] * 3
    assert (stranger.status, stranger.body["code"]) == (404, "payment_not_found")
    assert (weak.status, weak.body["code"]) == (403, "scope_missing")
    assert closings(environment) == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("evidence", None, "field_missing"),
        ("webhook_id", "7", "field_invalid"),
        ("reason", "card 4242 4242 4242 4242", "sensitive_data"),
        ("note", "-", "field_unknown"),
    ],
)
async def test_words_that_cannot_be_recorded_are_named_by_their_field(api, payment, field, value, code):
    body = {
        name: one for name, one in ({"webhook_id": 7} | WORDS | {field: value}).items() if one is not None
    }

    response = await api.change(payment, "close-webhook", body)

    assert (response.status, response.body["code"], response.body["path"]) == (422, code, field)
    assert "4242" not in response.raw.decode()


def test_the_apis_role_may_close_a_webhook_but_not_read_or_change_the_record(environment):
    with environment.connect("api") as connection:
        for statement in (
            "SELECT who FROM webhook_closings",
            "INSERT INTO webhook_closings (webhook_id) VALUES (7)",
            "UPDATE webhooks_in SET state = 'closed'",
        ):
            with pytest.raises(Exception, match="permission denied"):
                connection.execute(statement)
