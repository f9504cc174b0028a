import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.messages import InvalidMessage, dump
from commands.parsing import parse_command, parse_outcome
from tests.support.builders import create_payment, payment, record_outcome

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
        (changed(payment_method=None), "field_missing", "payment_method"),
        (without("payment_method"), "field_missing", "payment_method"),
        (changed(payment_methods={"stripe": "pm_1"}), "field_invalid", "payment_method"),
        (changed(payment_method=None, payment_methods={}), "field_invalid", "payment_methods"),
        (changed(payment_method=None, payment_methods={"a": VISA}), "sensitive_data", "payment_methods.a"),
        (changed(card={"bin": "4242424"}), "field_invalid", "card.bin"),
        (changed(card={"bin": "42424242 "}), "field_invalid", "card.bin"),
        (changed(card={"bin": 424242}), "field_invalid", "card.bin"),
        (changed(card={"bin": VISA}), "sensitive_data", "card.bin"),
        (changed(card={"bin": "424242", "cvc": "123"}), "sensitive_data", "card.cvc"),
        (changed(card={"bin": "42424242"}, metadata={"n": VISA}), "sensitive_data", "metadata.n"),
        (changed(card={"bin": ["4242", "4242", "4242", "4242"]}), "sensitive_data", "card.bin"),
        (
            changed(description=f"card {VISA[:4]} {VISA[4:8]} {VISA[8:12]} {VISA[12:]}"),
            "sensitive_data",
            "description",
        ),
        (changed(metadata={"note": f"x{VISA}y"}), "sensitive_data", "metadata.note"),
        (changed(metadata={"cvc": "123"}), "sensitive_data", "metadata.cvc"),
        (changed(metadata={"deep": {"er": [VISA]}}), "sensitive_data", "metadata.deep.er.0"),
        (changed(card_number="1"), "field_unknown", "card_number"),
        (changed(**{VISA: "1"}), "sensitive_data", "(unprintable)"),
        (changed(command_id=VISA), "sensitive_data", "command_id"),
        (changed(metadata={f"card_{VISA}": "x"}), "sensitive_data", "metadata.(unprintable)"),
        (changed(expires_at=1795381200), "field_invalid", "expires_at"),
        (changed(expires_at=1795381200000), "field_invalid", "expires_at"),
        (changed(expires_at="1795381200"), "field_invalid", "expires_at"),
        (changed(expires_at="9999-12-31T23:59:59-12:00"), "field_invalid", "expires_at"),
        (changed(expires_at="0001-01-01T00:00:00+12:00"), "field_invalid", "expires_at"),
    ],
)
def test_a_record_that_is_no_message_is_refused_with_its_code_and_field(raw, code, path):
    with pytest.raises(InvalidMessage) as refused:
        parse_command(raw)

    assert (refused.value.code, refused.value.path) == (code, path)
    assert VISA not in str(refused.value)


@pytest.mark.parametrize("number", [1795381200, 1795381200.5, "1795381200", True])
def test_a_number_for_a_time_is_refused_and_not_guessed(number):
    with pytest.raises(InvalidMessage, match="write an RFC 3339 time"):
        parse_command(changed(expires_at=number))
    with pytest.raises(InvalidMessage, match="write an RFC 3339 time"):
        parse_outcome(
            json.dumps(json.loads(dump(record_outcome(payment()))) | {"observed_at": number}).encode()
        )


def test_a_refusal_knows_the_command_where_it_has_an_id():
    with pytest.raises(InvalidMessage) as refused:
        parse_command(changed(surprise=1))

    assert refused.value.command_id == create_payment().command_id


@pytest.mark.parametrize(
    "command_id", [VISA.encode().hex(), f"{VISA}abcdefabcdefabcd", f"{{{VISA}-abcdefabcdefabcd}}"]
)
def test_a_refusal_quotes_no_id_that_is_a_card_number(command_id):
    """UUID takes any 32 hexadecimal digits."""
    with pytest.raises(InvalidMessage) as refused:
        parse_command(changed(command_id=command_id, metadata={"note": VISA}))
    with pytest.raises(InvalidMessage) as known:
        parse_command(changed(metadata={"note": VISA}))

    assert (refused.value.code, refused.value.command_id) == ("sensitive_data", None)
    assert known.value.command_id == create_payment().command_id


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_the_parser_raise_anything_else(content):
    with pytest.raises(InvalidMessage):
        parse_command(json.dumps(content).encode())


def test_a_card_number_nested_deeper_than_the_stack_is_found():
    deep = b'{"a":' + b"[" * 1020 + b'"4111111111111111"' + b"]" * 1020 + b"}"

    with pytest.raises(InvalidMessage) as refused:
        parse_command(deep)

    assert refused.value.code == "sensitive_data"


# Issued to nobody that is usual, so that only the field's name gives it away: docs/adr/0023.
@pytest.mark.parametrize("number", ["3980635139693716481", "42166848475132", "663414839603062023"])
def test_a_psps_token_among_several_is_searched_as_strictly_as_a_single_one(number: str):
    parse_command(changed(description=number))

    for fields in ({"payment_method": number}, {"payment_method": None, "payment_methods": {"a": number}}):
        with pytest.raises(InvalidMessage) as refused:
            parse_command(changed(**fields))
        assert refused.value.code == "sensitive_data"


def test_a_bin_of_six_or_eight_digits_is_no_card_number():
    for first in ("424242", "42424242", "52000000"):
        command = parse_command(changed(card={"bin": first, "scheme": "visa", "funding": "debit"}))
        assert command.card.bin == first


def test_one_of_payment_method_and_payment_methods_is_said_to_be_too_much():
    with pytest.raises(InvalidMessage) as refused:
        parse_command(changed(payment_methods={"stripe": "pm_1"}))

    assert (
        refused.value.detail == "payment_methods is given too: send one of the two, and leave the other out"
    )
