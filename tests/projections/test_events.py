import orjson
import pytest

from aggregates.events import EVENTS
from commands.messages import InvalidMessage
from projections import bodies, events
from tests.support.event_stories import captured, event_of, record_of, without


def test_a_record_and_the_stored_event_read_the_same():
    for one in captured():
        assert events.from_record(record_of(one)) == event_of(one)


def test_every_event_of_the_payment_is_known_here():
    assert EVENTS.keys() == events._BODIES.keys()


def test_an_event_of_a_type_unknown_here_still_has_its_time():
    first, *_ = captured()

    event = events.from_store("p", 9, "payment.blessed.v1", first.state)

    assert isinstance(event.body, bodies.Other)
    assert event.body.timestamp.tzinfo is not None


def test_text_that_postgresql_cannot_hold_is_replaced():
    first, *_ = captured(description="a\0b", metadata={"note": "c\0"})

    body = event_of(first).body

    assert isinstance(body, bodies.Requested)
    assert body.description == "a\ufffdb"
    assert body.metadata == {"note": "c\ufffd"}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("header_invalid", {"headers": {}}),
        ("header_invalid", {"headers": {"ce_id": b"not-an-id/1", "ce_type": b"x"}}),
        ("header_invalid", {"headers": {"ce_id": b"\xff\xfe/1", "ce_type": b"x"}}),
        ("key_wrong", {"key": b"another"}),
        ("key_wrong", {"key": None}),
        ("not_json", {"value": None}),
        ("event_invalid", {"value": b"\x00\x01"}),
        ("event_invalid", {"value": b"[]"}),
        ("event_invalid", {"value": b"{}"}),
    ],
)
def test_a_record_that_is_no_event_of_ours_is_refused(code, change):
    first, *_ = captured()

    with pytest.raises(InvalidMessage) as refused:
        events.from_record(record_of(first, **change))

    assert refused.value.code == code


def test_a_version_of_zero_is_no_version():
    first, *_ = captured()
    headers = {"ce_id": f"{first.originator_id}/0".encode(), "ce_type": b"x"}

    with pytest.raises(InvalidMessage):
        events.from_record(record_of(first, headers=headers))


def test_the_path_of_a_missing_field_is_reported():
    first, *_ = captured()

    with pytest.raises(InvalidMessage) as refused:
        events.from_record(record_of(first, value=without(first, "amount_minor")))

    assert refused.value.path == "amount_minor"


@pytest.mark.parametrize("amount", [2**63, 1.5, "1099", None])
def test_an_amount_that_no_column_can_hold_is_no_event_of_ours(amount):
    first, *_ = captured()
    state = orjson.dumps(orjson.loads(first.state) | {"amount_minor": amount})

    with pytest.raises(InvalidMessage):
        events.from_record(record_of(first, value=state))
