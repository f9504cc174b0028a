"""What is read of a record's headers. OpenTelemetry's aiokafka instrumentation appends a second
`traceparent`."""

import pytest

from commands.messages import InvalidMessage
from commands.records import DeadLetter, Record, first_headers

OURS = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
APPENDED = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def traceparent(*values: bytes | None) -> str | None:
    headers = first_headers([("correlation_id", b"c-1"), *(("traceparent", value) for value in values)])
    return Record("t", 0, 0, None, None, headers, 0).traceparent


@pytest.mark.parametrize(("first", "second"), [(OURS, APPENDED), (APPENDED, OURS)])
def test_of_two_traceparents_the_first_counts_in_either_order(first, second):
    assert traceparent(first, second) == first.decode()


# W3C Trace Context, 2.2: version ff is invalid, and so is an id of zeros.
@pytest.mark.parametrize(
    "invalid",
    [
        b"",
        b"order-1",
        b"\xff\xfe",
        OURS.upper(),
        b"ff" + OURS[2:],
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        None,
    ],
)
def test_an_invalid_first_traceparent_gives_way_to_a_valid_second_one(invalid):
    assert traceparent(invalid, APPENDED) == APPENDED.decode()
    assert traceparent(invalid) is None
    assert traceparent(OURS, invalid) == OURS.decode()


# Trace ids that are a test card's number and letters, or digits only; a span that is one.
@pytest.mark.parametrize(
    "smuggling",
    [
        b"00-4111111111111111abcdefabcdefabcd-b7ad6b7169203331-01",
        b"00-abcdefabcdefabcd4111111111111111-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-4111111111111111-01",
        b"4111111111111111",
    ],
)
def test_a_traceparent_with_a_card_number_for_an_id_is_none(smuggling):
    assert traceparent(smuggling) is None
    assert traceparent(smuggling, APPENDED) == APPENDED.decode()


@pytest.mark.parametrize(
    "text", [b"4111 1111 1111 1111", b"order-4111111111111111", b"cvv=917", b"%34111111111111111"]
)
def test_a_header_with_a_card_number_or_a_security_code_is_not_passed_on(text):
    assert Record("t", 0, 0, None, None, {"correlation_id": text}, 0).header("correlation_id") is None


def test_a_dead_letter_holds_nothing_that_was_made_of_the_value():
    letters = [
        DeadLetter.of(Record("t", 0, 7, None, value, {}, 5), InvalidMessage("not_json", None, "no JSON"))
        for value in (b"4111111111111111", b"4242424242424242", None)
    ]

    assert letters == [DeadLetter("t", 0, 7, "not_json", None, "no JSON", 5)] * 3


def test_of_any_other_header_that_stands_twice_the_first_counts():
    headers = first_headers([("correlation_id", b"c-1"), ("correlation_id", b"c-2"), ("other", None)])

    assert headers == {"correlation_id": b"c-1"}
