import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from aggregates import disputes, merchant_commands, outcomes
from infra.api import schemas
from projections import batch
from tests.support.builders import NOW, REVIEW, ROUTE, cause, operation_of, report, word
from tests.support.event_stories import (
    captured,
    doubtful,
    event_of,
    in_doubt,
    put_into_store,
    read_models_connection,
    requested,
    stored,
)

pytestmark = pytest.mark.stack


async def happen(environment, *stories):
    """In the store, and in the read models."""
    events = [event for story in stories for event in story]
    put_into_store(environment, events)
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, map(event_of, events), {}, NOW)


def id_of(story):
    return str(story[0].originator_id)


async def test_a_payment_is_shown_as_documented(environment, api):
    story = captured(description="Order 1", metadata={"order": "1"}, country="DE")
    await happen(environment, story)

    response = await api.get(f"/v1/payments/{id_of(story)}")

    assert response.status == 200
    shown = schemas.Payment.model_validate(response.body)
    assert (shown.status, shown.version, shown.captured_minor) == ("CAPTURED", 3, 1099)
    assert shown.metadata == {"order": "1"}
    assert [operation.state for operation in shown.operations] == ["APPROVED"]
    assert shown.read_model.events_behind == 0
    assert shown.created_at == NOW


async def test_a_response_has_how_far_the_read_model_is_behind(environment, api):
    story = doubtful()
    await happen(environment, story[:2])
    put_into_store(environment, story[2:])

    response = await api.get(f"/v1/payments/{id_of(story)}")

    assert response.body["read_model"]["events_behind"] == 3
    assert response.body["read_model"]["lag_ms"] >= 0


async def test_min_version_waits_for_the_write(environment, api):
    story = captured()
    await happen(environment, story[:2])
    request = asyncio.create_task(api.get(f"/v1/payments/{id_of(story)}?min_version=3"))

    await happen(environment, story[2:])

    assert (await request).body["version"] == 3


async def test_min_version_in_vain_is_refused_with_the_present_version(environment, api, monkeypatch):
    monkeypatch.setattr("infra.api.reads._VERSION_WITHIN_S", 0.05)
    story = captured()
    await happen(environment, story)

    response = await api.get(f"/v1/payments/{id_of(story)}?min_version=9")

    assert (response.status, response.body["code"], response.body["version"]) == (
        409,
        "version_not_reached",
        3,
    )
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("path", ["", "?min_version=1", "/events"])
async def test_another_merchants_payment_looks_like_one_that_does_not_exist(
    environment, api, new_key, monkeypatch, path
):
    monkeypatch.setattr("infra.api.reads._VERSION_WITHIN_S", 0.05)
    story, stranger = captured(), new_key("stranger")
    await happen(environment, story)

    others = await api.get(f"/v1/payments/{id_of(story)}{path}", key=stranger)
    nobodys = await api.get(f"/v1/payments/00000000-0000-4000-8000-000000000000{path}", key=stranger)
    malformed = await api.get(f"/v1/payments/no-uuid{path}", key=stranger)

    assert others.status == nobodys.status == malformed.status == 404
    assert others.raw == nobodys.raw == malformed.raw
    assert others.headers["Content-Type"] == nobodys.headers["Content-Type"] == "application/problem+json"
    assert others.body["code"] == "payment_not_found"


async def test_another_merchants_customer_has_no_payments(environment, api, new_key):
    await happen(environment, captured())

    response = await api.get("/v1/customers/customer-1/payments", key=new_key("stranger"))

    assert response.body["payments"] == []


async def test_pages_are_complete_and_stable_while_payments_come_in(environment, api):
    expected = []
    for number in range(25):
        moment = NOW + timedelta(seconds=number // 3)  # some at the same time
        story = requested_at(moment)
        expected.append((moment, id_of(story)))
        await happen(environment, story)

    seen, cursor = [], ""
    while cursor is not None:
        page = (await api.get(f"/v1/customers/customer-1/payments?limit=4&cursor={cursor}")).body
        schemas.PaymentPage.model_validate(page)
        seen += [one["payment_id"] for one in page["payments"]]
        await happen(environment, requested_at(NOW + timedelta(hours=1)))
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


@pytest.mark.parametrize("path", ["/v1/customers/customer-1/payments", "/v1/in-doubt", "/v1/reviews"])
async def test_a_cursor_that_was_not_made_here_is_refused(api, path):
    for cursor in ("x", "AAAA", "WzEsMl0=", "W10="):
        response = await api.get(f"{path}?cursor={cursor}")

        assert (response.status, response.body["code"]) == (400, "cursor_invalid")


async def test_doubts_come_in_pages_with_all_totals_and_for_their_merchant_only(environment, api, new_key):
    mine, anothers = [in_doubt() for _ in range(5)], in_doubt(merchant_id="other")
    await happen(environment, *map(stored, (*mine, anothers)))

    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = (await api.get(f"/v1/in-doubt?limit=2&cursor={cursor}")).body
        schemas.InDoubt.model_validate(page)
        seen += [one["payment_id"] for one in page["in_doubt"]]
        assert sum(cell["payments"] for cell in page["totals"]) == 5
        assert sum(cell["amount_minor"] for cell in page["totals"]) == 5 * 1099
        cursor, pages = page["next_cursor"], pages + 1

    assert (pages, sorted(seen)) == (3, sorted(str(payment.id) for payment in mine))
    others = (await api.get("/v1/in-doubt", key=new_key("other"))).body
    assert [one["payment_id"] for one in others["in_doubt"]] == [str(anothers.id)]


async def test_held_payments_come_in_pages_with_their_reasons_and_for_their_merchant_only(
    environment, api, new_key
):
    mine, anothers = [requested(REVIEW) for _ in range(3)], requested(REVIEW, merchant_id="other")
    await happen(environment, *map(stored, (*mine, anothers, requested())))

    first = (await api.get("/v1/reviews?limit=2")).body
    rest = (await api.get(f"/v1/reviews?limit=2&cursor={first['next_cursor']}")).body

    page = schemas.Reviews.model_validate(first)
    assert {one.reason for one in page.reviews} == {"velocity (score 0.82): 9 payments within an hour"}
    assert page.reviews[0].currency_exponent == 2
    seen = [one["payment_id"] for one in first["reviews"] + rest["reviews"]]
    assert (sorted(seen), rest["next_cursor"]) == (sorted(str(one.id) for one in mine), None)
    shown = schemas.Payment.model_validate((await api.get(f"/v1/payments/{mine[0].id}")).body)
    assert (shown.status, shown.held_since, shown.operations) == ("IN_REVIEW", NOW, [])
    others = (await api.get("/v1/reviews", key=new_key("other"))).body["reviews"]
    assert [one["payment_id"] for one in others] == [str(anothers.id)]


async def test_a_disputed_payment_shows_its_sums_its_dispute_and_the_decisions(environment, api):
    payment = requested()
    operation = operation_of(payment)
    outcomes.take(payment, report(operation), ROUTE, cause(NOW, uuid4()))
    disputes.take(payment, word(payment, amount_minor=1000), cause(NOW, uuid4()))
    merchant_commands.refund(payment, 99, cause(NOW, uuid4()), reason="late")
    await happen(environment, stored(payment))

    body = (await api.get(f"/v1/payments/{payment.id}")).body

    shown = schemas.Payment.model_validate(body)
    assert (shown.status, shown.disputed_minor, shown.refundable_minor) == ("DISPUTED", 1000, 0)
    assert [dispute.state for dispute in shown.disputes] == ["opened"]
    assert [operation.kind for operation in shown.operations] == ["sale", "refund"]
    assert shown.decision
    listed = (await api.get("/v1/customers/customer-1/payments")).body["payments"][0]
    assert (listed["disputed_minor"], listed["disputes"]) == (1000, body["disputes"])


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x"])
async def test_a_page_has_1_to_100_payments(api, query):
    response = await api.get(f"/v1/customers/customer-1/payments?{query}")

    assert (response.status, response.body["code"], response.body["path"]) == (
        422,
        "request_invalid",
        "limit",
    )


async def test_the_history_is_the_stored_events_with_the_token_masked(environment, api):
    story = doubtful()
    put_into_store(environment, story)  # and not in the read models: the history does not need them

    response = await api.get(f"/v1/payments/{id_of(story)}/events")

    history = schemas.History.model_validate(response.body)
    assert [event.type for event in history.events] == [event.topic for event in story]
    assert history.events[0].data["payment_method"] == "…visa"
    assert b"pm_card_visa" not in response.raw
    assert history.next_after is None


async def test_the_history_comes_in_pages(environment, api):
    story = doubtful()
    put_into_store(environment, story)
    path = f"/v1/payments/{id_of(story)}/events?limit=2"

    first = (await api.get(path)).body
    second = (await api.get(f"{path}&after={first['next_after']}")).body
    third = (await api.get(f"{path}&after={second['next_after']}")).body

    versions = [[event["version"] for event in page["events"]] for page in (first, second, third)]
    assert versions == [[1, 2], [3, 4], [5]]
    assert third["next_after"] is None


@pytest.mark.parametrize("authorization", [None, "Basic eDp5", "Bearer ", "Bearer ak_0_0", "Bearer nonsense"])
async def test_without_a_key_nothing_is_shown(api, authorization):
    response = await api.get("/v1/payments/no-uuid", Authorization=authorization)

    assert (response.status, response.body["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_with_a_wrong_secret_is_no_key(api):
    key = api.key[:-6] + "AAAAAA"

    assert (await api.get("/v1/payments/no-uuid", key=key)).status == 401


async def test_a_key_may_do_what_its_scopes_say(api, new_key):
    response = await api.get("/v1/payments/no-uuid", key=new_key(scopes=["payments:write"]))

    assert (response.status, response.body["code"]) == (403, "scope_missing")


async def test_a_revoked_key_is_refused_once_it_is_forgotten(environment, api, monkeypatch):
    monkeypatch.setattr("infra.api.auth._REMEMBERED_S", -1.0)
    with psycopg.connect(environment.dsn(), options=f"-c search_path={environment.schema}") as conn:
        conn.execute("UPDATE api_keys SET revoked_at = now()")

    assert (await api.get("/v1/payments/no-uuid")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/payments", 405, "method_not_allowed"),
        ("GET", "/v1/payments/no-uuid", 404, "payment_not_found"),
    ],
)
async def test_every_error_is_a_problem_document(api, method, path, status, code):
    response = await api.ask(method, path)

    assert response.status == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.body["code"], response.body["status"]) == (code, status)
    assert response.headers["X-Correlation-Id"]


@pytest.mark.parametrize("given", ["mine-1", "x" * 200])
async def test_the_callers_correlation_id_comes_back(api, given):
    assert (await api.get("/live", **{"X-Correlation-Id": given})).headers["X-Correlation-Id"] == given


@pytest.mark.parametrize("given", ["x" * 201, "a b", "4111111111111111", "é"])
async def test_a_correlation_id_that_cannot_be_passed_on_is_replaced(api, given):
    response = await api.get("/live", **{"X-Correlation-Id": given})

    assert len(response.headers["X-Correlation-Id"]) == 36


async def test_ready_reports_the_state(api):
    response = await api.get("/ready")

    assert (response.status, response.body) == (200, {"state": "ready"})


async def test_a_fault_of_ours_is_a_problem_document_without_its_cause(environment, api):
    with psycopg.connect(environment.dsn()) as conn:
        conn.execute(f"REVOKE SELECT ON {environment.schema}_read.payments FROM aegispay_api")

    response = await api.get("/v1/customers/customer-1/payments", **{"X-Correlation-Id": "mine-1"})

    assert (response.status, response.body["code"]) == (500, "internal_error")
    assert response.headers["X-Correlation-Id"] == "mine-1"
    assert b"permission" not in response.raw
