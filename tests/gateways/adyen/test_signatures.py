"""Of a webhook: what is signed, forged, unsigned, or none at all."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from gateways.adyen.adapter import Adyen
from gateways.adyen.signatures import signature
from gateways.contract import Gateway, Hook, HookKeys, HookRefused, Notice
from tests.gateways.adyen.says import (
    HMAC_KEY,
    MERCHANT,
    PAYMENT,
    body_of,
    hook,
    item,
    signed,
)

ADYEN: Gateway = Adyen()
KEYS = HookKeys((HMAC_KEY,), {"merchant_account": MERCHANT})
ANOTHER_KEY = "0" * 62 + "7F"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HELD, CAPTURE = f"{PAYMENT}-a1", f"{PAYMENT}-c2"


def read(hook: Hook, keys: HookKeys = KEYS) -> tuple[Notice, ...] | HookRefused:
    return ADYEN.read_hook(hook, keys, NOW)


def test_the_signature_is_adyens():
    """The example of its documents."""
    shown = {
        "amount": {"value": 1130, "currency": "EUR"},
        "pspReference": "7914073381342284",
        "eventCode": "AUTHORISATION",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704",
        "success": "true",
    }

    assert signature(shown, bytes.fromhex(HMAC_KEY)) == "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="


def test_several_items_are_several_notices():
    said = read(hook(item("AUTHORISATION", HELD), item("CAPTURE", CAPTURE), item("REPORT_AVAILABLE", "")))

    assert not isinstance(said, HookRefused)
    assert [one.event_type for one in said] == ["AUTHORISATION", "CAPTURE", "REPORT_AVAILABLE"]


@pytest.mark.parametrize("spoil", [{"success": "false"}, {"amount": {"currency": "USD", "value": 1}}])
def test_one_forged_item_refuses_all(spoil: dict[str, Any]):
    good, bad = signed(item("AUTHORISATION", HELD)), signed(item("CAPTURE", CAPTURE)) | spoil

    assert read(Hook({}, body_of(good, bad))) == HookRefused("forged")


SIGNED_FIELDS = {
    "pspReference": "X" * 16,
    "originalReference": "X" * 16,
    "merchantAccountCode": "Another",
    "merchantReference": f"{PAYMENT}-c3",
    "amount": {"currency": "EUR", "value": 1099},
    "eventCode": "REFUND",
    "success": "false",
}


@pytest.mark.parametrize("field", [*SIGNED_FIELDS, "value"])
def test_an_altered_field_that_is_signed_is_forged(field: str):
    spoilt = (
        {"amount": {"currency": "USD", "value": 9}} if field == "value" else {field: SIGNED_FIELDS[field]}
    )

    assert read(Hook({}, body_of(signed(item("CAPTURE", CAPTURE)) | spoilt))) == HookRefused("forged")


@pytest.mark.parametrize("field", ["merchantReference", "amount", "eventCode", "success"])
def test_a_field_that_was_taken_away_is_forged(field: str):
    shown = signed(item("CAPTURE", CAPTURE))
    del shown[field]

    assert read(Hook({}, body_of(shown))) == HookRefused("forged")


def test_either_of_two_keys_is_taken_while_they_are_exchanged():
    both = replace(KEYS, secrets=(ANOTHER_KEY, HMAC_KEY))

    for key in both.secrets:
        assert not isinstance(read(hook(item("CAPTURE", CAPTURE), key=key), both), HookRefused)
    assert read(hook(item("CAPTURE", CAPTURE), key=ANOTHER_KEY)) == HookRefused("forged")


@pytest.mark.parametrize("secret", ["", "not hexadecimal", "00", "00" * 15])
def test_a_key_that_is_none_verifies_nothing(secret: str):
    shown = item("CAPTURE", CAPTURE)
    claim = signature(shown, bytes.fromhex(secret) if secret[:2] in {"", "00"} else b"")
    forged = shown | {"additionalData": {"hmacSignature": claim}}

    assert read(Hook({}, body_of(forged)), replace(KEYS, secrets=(secret,))) == HookRefused("forged")


@pytest.mark.parametrize("more", [{}, {"hmacSignature": ""}, {"hmacSignature": 7}, None, []])
def test_an_item_without_its_signature_is_unsigned(more: Any):
    good = signed(item("AUTHORISATION", HELD))

    for bare in (good | {"additionalData": more}, item("CAPTURE", CAPTURE)):
        assert read(Hook({}, body_of(good, bare))) == HookRefused("unsigned")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"\xff", orjson.dumps({"notificationItems": []})),
        orjson.dumps({"notificationItems": [signed(item("CAPTURE", CAPTURE))]}),  # not wrapped
        body_of("x"),
        *(body_of(signed(item("CAPTURE", CAPTURE, eventCode=event))) for event in ("", "a b", "A" * 61)),
        body_of(signed(item("CAPTURE", CAPTURE) | {"success": "TRUE"})),
        body_of(signed(item("CAPTURE", CAPTURE, pspReference=...))),
    ],
)
def test_what_is_no_webhook_of_adyens_is_malformed(body: bytes):
    assert read(Hook({}, body)) == HookRefused("malformed")


def test_adyen_has_no_certificate_and_checks_no_address():
    assert ADYEN.certificate_url(hook(item("CAPTURE", CAPTURE)), {}) is None
    assert ADYEN.hook_challenge({"challenge": "x"}, KEYS) is None
