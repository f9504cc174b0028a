from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import orjson
import pytest
import yaml

from aggregates.money import Money
from aggregates.operation import OperationState, PspAccount, Report
from aggregates.payment import EVENTS, Asked, Cause, Payment
from commands.messages import Reply, dump, parse_command, payment_id
from infra import asyncapi, topics
from infra.event_store import EventMapper

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(asyncapi.text())
    return content


def _validate(document: dict[str, Any], name: str, instance: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.validate(instance, schema, format_checker=jsonschema.FormatChecker())


def _references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            for name, value in node.items():
                if name == "$ref":
                    yield value
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)


def test_the_file_in_the_tree_is_what_the_messages_say():
    assert asyncapi.FILE.read_text() == asyncapi.text()


def test_every_topic_and_every_event_is_described(document):
    assert set(document["channels"]) == {topic.name for topic in topics.declared(12, "")}
    described = {message["name"] for message in document["components"]["messages"].values()}
    assert set(EVENTS) <= described


def test_every_reference_leads_somewhere(document):
    for reference in set(_references(document)):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_example_is_a_command_that_passes_both_the_schema_and_the_parser(document):
    example = document["components"]["messages"]["CreatePayment"]["examples"][0]["payload"]

    _validate(document, "CreatePayment", example)
    command = parse_command(orjson.dumps(example))

    assert command.payment_id == payment_id(example["merchant_id"], example["idempotency_key"])


def test_a_command_without_its_type_or_with_another_field_fails_the_schema(document):
    example = document["components"]["messages"]["CreatePayment"]["examples"][0]["payload"]
    without_type = {name: value for name, value in example.items() if name != "type"}

    for wrong in (without_type, example | {"note": "x"}, example | {"amount_minor": "1099"}):
        with pytest.raises(jsonschema.ValidationError):
            _validate(document, "CreatePayment", wrong)


def test_a_reply_as_it_is_sent_passes_its_schema(document):
    reply = Reply(kind="answer", command_id=uuid4(), payment_id=None, result="refused", code="not_json")

    _validate(document, "Reply", orjson.loads(dump(reply)))


def test_events_as_they_are_stored_pass_their_schemas(document):
    names = {message["name"]: name for name, message in document["components"]["messages"].items()}

    for event in _a_payment_that_was_declined().collect_events():
        stored = EventMapper().to_stored_event(event)
        _validate(document, names[stored.topic], orjson.loads(stored.state))


def _a_payment_that_was_declined() -> Payment:
    cause = Cause(command_id=uuid4(), correlation_id="c-1", traceparent=None, now=NOW)
    asked = Asked(
        merchant_id="shop",
        idempotency_key="order-1",
        fingerprint="f" * 64,
        amount=Money(1099, "EUR"),
        payment_method="pm_card_visa",
        customer_id=None,
        country=None,
        description=None,
        metadata={},
        expires_at=NOW + timedelta(minutes=5),
    )
    payment = Payment.request(UUID(int=1), asked, PspAccount("stripe", "main", 82_800), cause)
    (operation,) = payment.operations
    report = Report(
        operation_id=operation,
        step="1",
        state=OperationState.DECLINED_HARD,
        psp_id="pi_1",
        amount_minor=None,
        currency=None,
        code="stolen_card",
        detail=None,
        hint=None,
        action_url=None,
        repeat_is_useless=False,
        source="call",
        tries=1,
        first_try_at=NOW,
        observed_at=NOW,
        call_ms=20.0,
    )
    payment.report(report, 0.5, cause)
    return payment
