import json
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.messages import (
    InvalidMessage,
    dump,
    fingerprint,
    parse_command,
    parse_outcome,
    payment_id,
    sensitive_path,
)
from tests.controls import create_payment, payment, record_outcome

VISA = "4242424242424242"


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(dump(create_payment())) | fields).encode()


def without(name: str) -> bytes:
    content = json.loads(dump(create_payment()))
    del content[name]
    return json.dumps(content).encode()


def test_what_is_written_is_read_back():
    assert parse_command(dump(create_payment())) == create_payment()
    assert parse_outcome(dump(record_outcome(payment()))) == record_outcome(payment())


@pytest.mark.parametrize(
    ("raw", "code", "path"),
    [
        (b"\xff\x00", "not_json", None),
        (b"", "not_json", None),
        (b"[]", "not_an_object", None),
        (b"{}", "type_missing", "type"),
        (b"x" * 70_000, "message_too_large", None),
        (changed(type="create_payment.v9"), "type_unknown", "type"),
        (changed(type="wake.v1"), "field_missing", "due_at"),
        (without("merchant_id"), "field_missing", "merchant_id"),
        (changed(surprise=1), "field_unknown", "surprise"),
        (changed(currency="euro"), "field_invalid", "currency"),
        (changed(amount_minor="1099"), "field_invalid", "amount_minor"),
        (changed(amount_minor=10.5), "field_invalid", "amount_minor"),
        (changed(expires_at="2026-11-22T12:00:00"), "field_invalid", "expires_at"),
        (changed(idempotency_key="x" * 129), "field_invalid", "idempotency_key"),
        (changed(payment_method=VISA), "sensitive_data", "payment_method"),
        (
            changed(description=f"card {VISA[:4]} {VISA[4:8]} {VISA[8:12]} {VISA[12:]}"),
            "sensitive_data",
            "description",
        ),
        (changed(metadata={"note": f"x{VISA}y"}), "sensitive_data", "metadata.note"),
        (changed(metadata={"cvc": "123"}), "sensitive_data", "metadata.cvc"),
        (changed(metadata={"deep": {"er": [VISA]}}), "sensitive_data", "metadata.deep.er.0"),
        (changed(card_number="1"), "sensitive_data", "card_number"),
        (changed(**{VISA: "1"}), "sensitive_data", "(unprintable)"),
        (changed(command_id=VISA), "sensitive_data", "command_id"),
        (changed(metadata={f"card_{VISA}": "x"}), "sensitive_data", "metadata.(unprintable)"),
        (changed(expires_at="9999-12-31T23:59:59-12:00"), "field_invalid", "expires_at"),
        (changed(expires_at="0001-01-01T00:00:00+12:00"), "field_invalid", "expires_at"),
    ],
)
def test_a_record_that_is_no_message_is_refused_with_its_code_and_field(raw, code, path):
    with pytest.raises(InvalidMessage) as refused:
        parse_command(raw)

    assert (refused.value.code, refused.value.path) == (code, path)
    assert VISA not in str(refused.value)
    assert refused.value.sensitive == (code == "sensitive_data")


def test_a_refusal_knows_the_command_where_it_has_an_id():
    with pytest.raises(InvalidMessage) as refused:
        parse_command(changed(surprise=1))

    assert refused.value.command_id == create_payment().command_id


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_the_parser_raise_anything_else(content):
    with pytest.raises(InvalidMessage):
        parse_command(json.dumps(content).encode())


@given(st.uuids(), st.uuids())
def test_our_own_ids_are_never_taken_for_card_numbers(command, payment):
    assert (
        sensitive_path(
            {"command_id": str(command), "payment_id": str(payment), "operation_id": f"{payment.hex}-s1"}
        )
        is None
    )


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12))
def test_a_card_number_is_found_wherever_it_stands_in_a_text(text):
    assert sensitive_path({"note": f"a {text} {VISA} b"}) == "note" or text[-1].isdigit()


@pytest.mark.parametrize(
    "number",
    [
        "378282246310005",
        "5555555555554444",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "4222222222222",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        f"{VISA}123",
        f"{VISA} 1226 123",
        "".join(chr(0xFF10 + int(digit)) for digit in VISA),  # full-width digits
        f"order{VISA}",
        f"+{VISA}",
        "4242  4242  4242  4242",
        "4242, 4242, 4242, 4242",
    ],
)
def test_a_card_number_of_each_scheme_and_writing_is_found(number):
    assert sensitive_path({"note": f"card {number}"}) == "note"


@pytest.mark.parametrize(
    "text", ["1795381200123", "2026-11-22 12:00:00.123456", "+4917012345678", "0" * 16, "1" * 40]
)
def test_dates_epochs_and_telephone_numbers_pass(text):
    assert sensitive_path({"note": text}) is None


@given(st.uuids(), st.binary(min_size=32, max_size=32))
@settings(max_examples=2000)
def test_uuids_and_digests_pass_as_keys(key, digest):
    assert sensitive_path({"idempotency_key": str(key), "metadata": {"sha": "a" + digest.hex()}}) is None


def test_one_key_of_one_merchant_is_one_payment():
    assert payment_id("demo", "order-1") == payment_id("demo", "order-1")
    assert payment_id("demo", "order-1") != payment_id("other", "order-1")
    assert payment_id("a", "b,c") != payment_id("a,b", "c")


def test_the_fingerprint_leaves_out_who_asks_and_until_when():
    command = create_payment()
    again = create_payment(command_id=uuid4(), expires_at=command.expires_at + timedelta(hours=1))

    assert fingerprint(again) == fingerprint(command)


@pytest.mark.parametrize(
    "other",
    [
        {"amount_minor": 1100},
        {"currency": "USD"},
        {"metadata": {"a": "1"}},
        {"customer_id": None},
        {"description": "x"},
    ],
)
def test_any_other_content_has_another_fingerprint(other):
    assert fingerprint(create_payment(**other)) != fingerprint(create_payment())


def test_a_card_number_nested_deeper_than_the_stack_is_found():
    deep = b'{"a":' + b"[" * 1020 + b'"4111111111111111"' + b"]" * 1020 + b"}"

    with pytest.raises(InvalidMessage) as refused:
        parse_command(deep)

    assert refused.value.sensitive
