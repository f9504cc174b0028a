"""Changes of an existing payment: the commands that the API publishes, and the responses that it makes of the
replies."""

import asyncio
from uuid import UUID, uuid4

import pytest

from commands.ids import command_id, fingerprint
from commands.parsing import parse_command
from infra.api import schemas
from infra.postgres.api_keys import SCOPES
from tests.support.event_stories import captured, put_into_store

pytestmark = pytest.mark.stack

OPERATION = "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-s1"
RESOLVE = {"operation_id": OPERATION, "decision": "charged", "evidence": "ch_3N", "who": "Kim"}
BODIES = {
    "captures": {"amount_minor": 500, "final": True},
    "voids": {},
    "refunds": {"amount_minor": 300, "reason": "a shoe came back"},
    "cancel": {},
    "complete-action": {"operation_id": OPERATION},
    "resolve": RESOLVE,
    "resolve-dispute": {"dispute_id": "PP-D-1", "decision": "won", "evidence": "case 7", "who": "Kim"},
    "review": {"decision": "allow", "evidence": "a call", "who": "Kim"},
    "status-queries": {},
}
KINDS = {
    "captures": "capture_payment",
    "voids": "void_payment",
    "refunds": "refund_payment",
    "cancel": "cancel_payment",
    "complete-action": "complete_action",
    "resolve": "resolve_payment",
    "resolve-dispute": "resolve_dispute",
    "review": "review_payment",
    "status-queries": "retry_status_query",
}


@pytest.fixture
def payment(environment) -> UUID:
    """Of the merchant `demo`, in the event store only: no read model is needed."""
    story = captured()
    put_into_store(environment, story)
    return story[0].originator_id


async def test_each_is_published_as_a_producer_would(api, worker, payment):
    for what, body in BODIES.items():
        request = asyncio.create_task(api.change(payment, what, body, **{"X-Correlation-Id": "return-1"}))
        record = await worker.record()
        command = parse_command(record.value)
        started = {"operation_id": OPERATION, "operation_state": "STARTED"}
        await worker.reply(command, status="CAPTURED", version=4, **started)

        response = await request

        assert record.key == str(payment).encode()
        assert dict(record.headers) == {"correlation_id": b"return-1"}
        assert command.type == f"{KINDS[what]}.v1"
        assert command.command_id == command_id("demo", payment, "change-1", KINDS[what])
        assert command.merchant_id == "demo"
        sent = command.model_dump(include=set(body))
        assert sent == body | ({"who": sent["who"]} if what.startswith("re") and "who" in body else {})
        assert response.headers["Location"] == f"/v1/payments/{payment}"
        assert schemas.Decided.model_validate(response.body).operation_id == OPERATION


async def test_the_same_key_is_the_same_command_and_another_kind_payment_or_key_is_another(
    api, worker, payment
):
    request = [
        asyncio.create_task(api.change(payment, what, {}, **{"Idempotency-Key": key}))
        for what, key in (("voids", "a"), ("voids", "a"), ("voids", "b"), ("cancel", "a"))
    ]
    commands = [await worker.command() for _ in request]
    for command in commands:
        await worker.reply(command, status="VOIDED", version=5)
    await asyncio.gather(*request)

    ids = [command.command_id for command in commands]
    assert len(set(ids)) == 3


async def test_two_changes_with_one_key_and_different_content_get_each_its_own_response(api, worker, payment):
    first = asyncio.create_task(api.change(payment, "refunds", {"amount_minor": 300}))
    one = await worker.command()
    second = asyncio.create_task(api.change(payment, "refunds", {"amount_minor": 301}))
    other = await worker.command()
    await worker.reply(
        other,
        result="refused",
        code="idempotency_mismatch",
        path="command_id",
        fingerprint=fingerprint(other),
    )
    await worker.reply(one, status="PROCESSING", version=4, fingerprint=fingerprint(one))

    assert one.command_id == other.command_id
    assert ((await first).status, (await second).status) == (202, 409)
    assert (await second).body["path"] == "Idempotency-Key"
    assert (await second).body["detail"].startswith("this idempotency key was used before, for a change of ")


async def test_a_refusal_has_its_amounts_and_the_payments_status(api, worker, payment):
    request = asyncio.create_task(api.change(payment, "refunds", {"amount_minor": 9999}))
    command = await worker.command()
    amounts = {"requested_minor": 9999, "refundable_minor": 1099}
    await worker.reply(
        command,
        result="refused",
        code="refund_exceeds_captured",
        detail="9999 was asked for; at most 1099 can be refunded",
        amounts=amounts,
        status="CAPTURED",
        version=3,
    )

    response = await request

    assert (response.status, response.body["code"]) == (422, "refund_exceeds_captured")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.body["amounts"] == amounts
    assert (response.body["payment_status"], response.body["version"]) == ("CAPTURED", 3)
    assert "at most 1099" in response.body["detail"]


async def test_a_wait_ends_with_the_operations_end_and_not_with_another_ones(api, worker, payment):
    request = asyncio.create_task(api.change(payment, "refunds", {}, Prefer="wait=20"))
    command = await worker.command()
    refund = f"{payment.hex}-r2"
    await worker.reply(command, status="CAPTURED", version=4, operation_id=refund, operation_state="STARTED")
    other = {"kind": "update", "operation_id": f"{payment.hex}-r3", "operation_state": "APPROVED"}
    await worker.reply(command, command_id=UUID(int=7), status="PARTIALLY_REFUNDED", **other)
    ended = {"kind": "update", "operation_id": refund, "operation_state": "DECLINED_HARD"}
    await worker.reply(command, status="PARTIALLY_REFUNDED", version=7, **ended)

    response = await request

    assert response.status == 200
    assert response.headers["Preference-Applied"] == "wait=20"
    assert (response.body["operation_id"], response.body["operation_state"]) == (refund, "DECLINED_HARD")
    assert response.body["version"] == 7


async def test_a_wait_for_what_started_no_operation_ends_when_the_payment_is_settled(api, worker, payment):
    request = asyncio.create_task(api.change(payment, "cancel", {}, Prefer="wait=20"))
    command = await worker.command()
    await worker.reply(command, status="REQUIRES_ACTION", version=4)
    await worker.reply(command, kind="update", command_id=UUID(int=7), status="IN_DOUBT", version=5)
    await worker.reply(command, kind="update", command_id=UUID(int=7), status="VOIDED", version=7)

    response = await request

    assert (response.status, response.body["status"]) == (200, "VOIDED")


async def test_without_a_reply_the_response_is_202_and_claims_nothing(api, worker, payment, monkeypatch):
    monkeypatch.setattr("infra.api.changes._DECIDED_WITHIN_S", 0.1)

    response = await api.change(payment, "voids", {})

    assert response.status == 202
    assert response.body.keys() == {"payment_id", "command_id", "url"}
    await worker.command()  # it stands on Kafka


async def test_no_body_at_all_is_one_without_fields(api, worker, payment):
    headers = {"Idempotency-Key": "change-1"}
    request = asyncio.create_task(api.ask("POST", f"/v1/payments/{payment}/voids", None, headers))
    command = await worker.command()
    await worker.reply(command, status="VOIDED", version=5)

    assert (await request).status == 200


async def test_a_payment_that_the_merchant_does_not_have_is_not_found_and_nothing_is_published(
    api, worker, new_key, payment
):
    stranger = new_key("stranger")
    for what, body in BODIES.items():
        others = await api.change(payment, what, body, key=stranger)
        nobodys = await api.change(UUID(int=4), what, body)
        malformed = await api.change("no-uuid", what, body)

        assert others.status == nobodys.status == malformed.status == 404
        assert others.raw == nobodys.raw == malformed.raw

    request = asyncio.create_task(api.change(payment, "voids", {}, **{"Idempotency-Key": "own"}))
    first = await worker.command()  # that was ever published
    assert first.command_id == command_id("demo", payment, "own", "void_payment")
    await worker.reply(first, status="VOIDED")
    await request


async def test_each_needs_its_own_scope(api, new_key, payment):
    needed = dict.fromkeys(BODIES, "payments:write") | {
        "refunds": "refunds:write",
        "resolve": "doubt:resolve",
        "resolve-dispute": "doubt:resolve",
        "review": "payments:review",
    }
    others = {scope: new_key(scopes=[one for one in SCOPES if one != scope]) for scope in needed.values()}

    for what, scope in needed.items():
        for of, body in ((payment, BODIES[what]), (payment, {"nonsense": 1}), (uuid4(), BODIES[what])):
            response = await api.change(of, what, body, key=others[scope])

            assert (what, response.status, response.body["code"]) == (what, 403, "scope_missing")


async def test_who_resolves_is_signed_with_the_keys_id(api, worker, payment):
    request = asyncio.create_task(api.change(payment, "resolve", RESOLVE))
    command = await worker.command()
    await worker.reply(command, status="CAPTURED", version=5)

    assert (await request).status == 200
    assert command.who == f"Kim (API key {api.key.split('_')[1]})"


_WITHOUT_EVIDENCE = {name: RESOLVE[name] for name in RESOLVE if name != "evidence"}
_WITHOUT_WHO = {name: RESOLVE[name] for name in RESOLVE if name != "who"}
_BAD = (
    ("captures", {"amount_minor": 0}, "amount_not_positive", "amount_minor"),
    ("captures", {"amount_minor": -5}, "amount_not_positive", "amount_minor"),
    ("captures", {"amount_minor": 1.5}, "field_invalid", "amount_minor"),
    ("captures", {"final": "perhaps"}, "field_invalid", "final"),
    ("refunds", {"reason": "card 4111 1111 1111 1111"}, "sensitive_data", "reason"),
    ("refunds", {"merchant_id": "stranger"}, "field_unknown", "merchant_id"),
    ("refunds", {"command_id": str(UUID(int=1))}, "field_unknown", "command_id"),
    ("voids", {"amount_minor": 5}, "field_unknown", "amount_minor"),
    ("resolve", RESOLVE | {"who": " "}, "field_invalid", "who"),
    ("resolve", RESOLVE | {"who": 7}, "field_invalid", "who"),
    ("resolve", RESOLVE | {"who": "x" * 250}, "field_invalid", "who"),
    ("resolve", RESOLVE | {"decision": "maybe"}, "field_invalid", "decision"),
    ("resolve", _WITHOUT_EVIDENCE, "field_missing", "evidence"),
    ("resolve", _WITHOUT_WHO, "field_missing", "who"),
)


async def test_bad_content_is_refused_with_its_place(api, payment):
    for what, body, code, path in _BAD:
        response = await api.change(payment, what, body)

        assert (response.status, response.body["code"], response.body["path"]) == (422, code, path)


async def test_a_key_that_cannot_be_one_is_refused(api, payment):
    for key, status, code in (
        (None, 400, "idempotency_key_missing"),
        ("x" * 129, 422, "field_invalid"),
        ("a b", 422, "field_invalid"),
        ("4111111111111111", 422, "sensitive_data"),
    ):
        response = await api.change(payment, "voids", {}, **{"Idempotency-Key": key})

        assert (response.status, response.body["code"]) == (status, code)
        assert response.body["path"] == "Idempotency-Key"
        assert b"4111" not in response.raw
