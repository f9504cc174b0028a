from collections.abc import Iterator
from typing import Any, get_args
from uuid import uuid4

import jsonschema
import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from aggregates.events import EVENTS
from commands.ids import payment_id
from commands.messages import AnyCommand, AnyReport, MerchantCommand, dump
from commands.parsing import parse_command, parse_outcome
from commands.reply import Reply
from commands.stored_events import EventMapper
from infra.kafka import topics
from infra.tools.docs import asyncapi
from tests.support import builders
from tests.support.payment_stories import STORIES, play


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


def test_every_topic_and_every_event_is_described(document):
    assert set(document["channels"]) == {topic.name for topic in topics.declared(12, "")}
    described = {message["name"] for message in document["components"]["messages"].values()}
    assert set(EVENTS) <= described


def test_every_reference_leads_somewhere(document):
    for reference in set(_references(document)):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_command_and_every_report_is_described_on_its_topic(document):
    def on(topic: str) -> set[str]:
        return set(document["channels"][topic]["messages"])

    assert on(topics.COMMANDS) == {kind.__name__ for kind in get_args(AnyCommand)}
    assert on(topics.OUTCOMES) == {kind.__name__ for kind in get_args(AnyReport)}


@pytest.mark.parametrize("kind", ["CreatePayment", *(kind.__name__ for kind in get_args(MerchantCommand))])
def test_what_producers_may_send_has_an_example_that_passes_both_the_schema_and_the_parser(document, kind):
    example = document["components"]["messages"][kind]["examples"][0]["payload"]

    _validate(document, kind, example)
    command = parse_command(orjson.dumps(example))

    assert type(command).__name__ == kind
    assert command.payment_id == payment_id("shop", "order-1001")


def test_an_outcome_as_it_is_sent_passes_its_schema(document):
    message = dump(builders.record_outcome(builders.payment()))

    parse_outcome(message)
    _validate(document, "RecordOutcome", orjson.loads(message))


def test_a_command_without_its_type_or_with_another_field_fails_the_schema(document):
    example = document["components"]["messages"]["CreatePayment"]["examples"][0]["payload"]
    without_type = {name: value for name, value in example.items() if name != "type"}

    for wrong in (without_type, example | {"note": "x"}, example | {"amount_minor": "1099"}):
        with pytest.raises(jsonschema.ValidationError):
            _validate(document, "CreatePayment", wrong)


def test_a_reply_as_it_is_sent_passes_its_schema(document):
    reply = Reply(kind="decision", command_id=uuid4(), payment_id=None, result="refused", code="not_json")

    _validate(document, "Reply", orjson.loads(dump(reply)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORIES)
def test_events_as_they_are_stored_pass_their_schemas(document, story):
    names = {message["name"]: name for name, message in document["components"]["messages"].items()}
    payment = builders.payment(builders.TWO_ACCOUNTS, capture="manual")
    play(payment, story, builders.TWO_ACCOUNTS)

    for event in payment.collect_events():
        stored = EventMapper().to_stored_event(event)
        _validate(document, names[stored.topic], orjson.loads(stored.state))
