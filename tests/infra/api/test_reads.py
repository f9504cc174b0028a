import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from aggregates import merchant, reports
from infra.api import shapes
from projections import batch
from tests.controls import NOW, ROUTE, cause, operation_of, report
from tests.projections.stories import (
    captured,
    doubtful,
    event_of,
    in_doubt,
    put_into_store,
    requested,
    stored,
    views_connection,
)

pytestmark = pytest.mark.stack


async def happen(place, *stories):
    """In the store, and in the read models."""
    events = [event for story in stories for event in story]
    put_into_store(place, events)
    async with views_connection(place) as conn:
        await batch.apply(conn, map(event_of, events), {}, NOW)


def id_of(story):
    return str(story[0].originator_id)


async def test_a_payment_is_shown_as_documented(place, api):
    story = captured(description="Order 1", metadata={"order": "1"}, country="DE")
    await happen(place, story)

    answer = await api.get(f"/v1/payments/{id_of(story)}")

    assert answer.status == 200
    shown = shapes.Payment.model_validate(answer.body)
    assert (shown.status, shown.version, shown.captured_minor) == ("CAPTURED", 3, 1099)
    assert shown.metadata == {"order": "1"}
    assert [operation.state for operation in shown.operations] == ["APPROVED"]
    assert shown.read_model.events_behind == 0
    assert shown.created_at == NOW


async def test_an_answer_says_how_far_the_read_model_is_behind(place, api):
    story = doubtful()
    await happen(place, story[:2])
    put_into_store(place, story[2:])

    answer = await api.get(f"/v1/payments/{id_of(story)}")

    assert answer.body["read_model"]["events_behind"] == 3
    assert answer.body["read_model"]["lag_ms"] >= 0


async def test_min_version_waits_for_the_write(place, api):
    story = captured()
    await happen(place, story[:2])
    asked = asyncio.create_task(api.get(f"/v1/payments/{id_of(story)}?min_version=3"))

    await happen(place, story[2:])

    assert (await asked).body["version"] == 3


async def test_min_version_in_vain_is_said_with_the_version_there_is(place, api, monkeypatch):
    monkeypatch.setattr("infra.api.reads._VERSION_WITHIN_S", 0.05)
    story = captured()
    await happen(place, story)

    answer = await api.get(f"/v1/payments/{id_of(story)}?min_version=9")

    assert (answer.status, answer.body["code"], answer.body["version"]) == (409, "version_not_reached", 3)
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("path", ["", "?min_version=1", "/events"])
async def test_another_merchants_payment_is_answered_as_one_that_nobody_has(
    place, api, new_key, monkeypatch, path
):
    monkeypatch.setattr("infra.api.reads._VERSION_WITHIN_S", 0.05)
    story, stranger = captured(), new_key("stranger")
    await happen(place, story)

    others = await api.get(f"/v1/payments/{id_of(story)}{path}", key=stranger)
    nobodys = await api.get(f"/v1/payments/00000000-0000-4000-8000-000000000000{path}", key=stranger)
    malformed = await api.get(f"/v1/payments/no-uuid{path}", key=stranger)

    assert others.status == nobodys.status == malformed.status == 404
    assert others.raw == nobodys.raw == malformed.raw
    assert others.headers["Content-Type"] == nobodys.headers["Content-Type"] == "application/problem+json"
    assert others.body["code"] == "payment_not_found"


async def test_another_merchants_customer_has_no_payments(place, api, new_key):
    await happen(place, captured())

    answer = await api.get("/v1/customers/customer-1/payments", key=new_key("stranger"))

    assert answer.body["payments"] == []


async def test_pages_are_complete_and_stable_while_payments_come_in(place, api):
    expected = []
    for number in range(25):
        moment = NOW + timedelta(seconds=number // 3)  # some at the same time
        story = requested_at(moment)
        expected.append((moment, id_of(story)))
        await happen(place, story)

    seen, cursor = [], ""
    while cursor is not None:
        page = (await api.get(f"/v1/customers/customer-1/payments?limit=4&cursor={cursor}")).body
        shapes.PaymentPage.model_validate(page)
        seen += [one["payment_id"] for one in page["payments"]]
        await happen(place, requested_at(NOW + timedelta(hours=1)))
        cursor = page["next_cursor"]

    assert seen == [payment_id for _, payment_id in sorted(expected, reverse=True)]


def requested_at(moment):
    return [
        event.__class__(
            event.originator_id,
            event.originator_version,
            event.topic,
            event.state.replace(NOW.isoformat().encode(), moment.isoformat().encode(), 1),
        )
        for event in captured()
    ]


@pytest.mark.parametrize("path", ["/v1/customers/customer-1/payments", "/v1/in-doubt"])
async def test_a_cursor_that_was_not_made_here_is_refused(api, path):
    for cursor in ("x", "AAAA", "WzEsMl0=", "W10="):
        answer = await api.get(f"{path}?cursor={cursor}")

        assert (answer.status, answer.body["code"]) == (400, "cursor_invalid")


async def test_what_is_in_doubt_comes_in_pages_with_the_whole_board_and_for_its_merchant_only(
    place, api, new_key
):
    mine, anothers = [in_doubt() for _ in range(5)], in_doubt(merchant_id="other")
    await happen(place, *map(stored, (*mine, anothers)))

    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = (await api.get(f"/v1/in-doubt?limit=2&cursor={cursor}")).body
        shapes.InDoubt.model_validate(page)
        seen += [one["payment_id"] for one in page["in_doubt"]]
        assert sum(cell["payments"] for cell in page["board"]) == 5
        assert sum(cell["amount_minor"] for cell in page["board"]) == 5 * 1099
        cursor, pages = page["next_cursor"], pages + 1

    assert (pages, sorted(seen)) == (3, sorted(str(payment.id) for payment in mine))
    others = (await api.get("/v1/in-doubt", key=new_key("other"))).body
    assert [one["payment_id"] for one in others["in_doubt"]] == [str(anothers.id)]


async def test_a_disputed_payment_shows_its_sums_its_dispute_and_the_decisions(place, api):
    payment = requested()
    operation = operation_of(payment)
    reports.take(payment, report(operation), ROUTE, cause(NOW, uuid4()))
    disputed(payment, operation)
    merchant.refund(payment, 99, cause(NOW, uuid4()), reason="late")
    await happen(place, stored(payment))

    body = (await api.get(f"/v1/payments/{payment.id}")).body

    shown = shapes.Payment.model_validate(body)
    assert (shown.status, shown.disputed_minor, shown.refundable_minor) == ("DISPUTED", 1000, 0)
    assert [dispute.state for dispute in shown.disputes] == ["opened"]
    assert [operation.kind for operation in shown.operations] == ["sale", "refund"]
    assert shown.decision
    listed = (await api.get("/v1/customers/customer-1/payments")).body["payments"][0]
    assert (listed["disputed_minor"], listed["disputes"]) == (1000, body["disputes"])


def disputed(payment, operation):
    reports.dispute(
        payment,
        dispute_id="dp_1",
        operation_id=operation,
        state="opened",
        amount_minor=1000,
        currency="EUR",
        reason="fraudulent",
        respond_by=None,
        observed_at=NOW.isoformat(),
        cause=cause(NOW, uuid4()),
    )


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x"])
async def test_a_page_has_1_to_100_payments(api, query):
    answer = await api.get(f"/v1/customers/customer-1/payments?{query}")

    assert (answer.status, answer.body["code"], answer.body["path"]) == (422, "request_invalid", "limit")


async def test_the_history_is_the_stored_events_with_the_token_masked(place, api):
    story = doubtful()
    put_into_store(place, story)  # and not in the read models: the history does not need them

    answer = await api.get(f"/v1/payments/{id_of(story)}/events")

    history = shapes.History.model_validate(answer.body)
    assert [event.type for event in history.events] == [event.topic for event in story]
    assert history.events[0].data["payment_method"] == "…visa"
    assert b"pm_card_visa" not in answer.raw
    assert history.next_after is None


async def test_the_history_comes_in_pages(place, api):
    story = doubtful()
    put_into_store(place, story)
    path = f"/v1/payments/{id_of(story)}/events?limit=2"

    first = (await api.get(path)).body
    second = (await api.get(f"{path}&after={first['next_after']}")).body
    third = (await api.get(f"{path}&after={second['next_after']}")).body

    versions = [[event["version"] for event in page["events"]] for page in (first, second, third)]
    assert versions == [[1, 2], [3, 4], [5]]
    assert third["next_after"] is None


@pytest.mark.parametrize("authorization", [None, "Basic eDp5", "Bearer ", "Bearer ak_0_0", "Bearer nonsense"])
async def test_without_a_key_nothing_is_shown(api, authorization):
    answer = await api.get("/v1/payments/no-uuid", Authorization=authorization)

    assert (answer.status, answer.body["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_with_a_wrong_secret_is_no_key(api):
    key = api.key[:-6] + "AAAAAA"

    assert (await api.get("/v1/payments/no-uuid", key=key)).status == 401


async def test_a_key_may_do_what_its_scopes_say(api, new_key):
    answer = await api.get("/v1/payments/no-uuid", key=new_key(scopes=["payments:write"]))

    assert (answer.status, answer.body["code"]) == (403, "scope_missing")


async def test_a_revoked_key_is_refused_once_it_is_forgotten(place, api, monkeypatch):
    monkeypatch.setattr("infra.api.keys._REMEMBERED_S", -1.0)
    with psycopg.connect(place.dsn(), options=f"-c search_path={place.schema}") as conn:
        conn.execute("UPDATE api_keys SET revoked_at = now()")

    assert (await api.get("/v1/payments/no-uuid")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/payments", 405, "method_not_allowed"),
        ("GET", "/v1/payments/", 404, "payment_not_found"),
    ],
)
async def test_every_error_is_a_problem_document(api, method, path, status, code):
    answer = await api.ask(method, path)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    if path != "/v1/payments/":
        assert answer.body["code"] == code
    assert answer.body["status"] == status
    assert answer.headers["X-Correlation-Id"]


async def test_the_callers_correlation_id_comes_back(api):
    assert (await api.get("/live", **{"X-Correlation-Id": "mine-1"})).headers["X-Correlation-Id"] == "mine-1"


@pytest.mark.parametrize("given", ["x" * 101, "a b", "4111111111111111", "é"])
async def test_a_correlation_id_that_cannot_be_passed_on_is_replaced(api, given):
    answer = await api.get("/live", **{"X-Correlation-Id": given})

    assert len(answer.headers["X-Correlation-Id"]) == 36


async def test_it_says_that_it_is_ready(api):
    answer = await api.get("/ready")

    assert (answer.status, answer.body) == (200, {"state": "ready"})


async def test_a_fault_of_ours_is_a_problem_document_without_its_cause(place, api):
    with psycopg.connect(place.dsn()) as conn:
        conn.execute(f"REVOKE SELECT ON {place.schema}_read.payments FROM aegispay_api")

    answer = await api.get("/v1/customers/customer-1/payments", **{"X-Correlation-Id": "mine-1"})

    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    assert answer.headers["X-Correlation-Id"] == "mine-1"
    assert b"permission" not in answer.raw
