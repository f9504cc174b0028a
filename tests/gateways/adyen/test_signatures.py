"""Of a webhook: what is signed, forged, unsigned, or none at all."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from commands.notices import Notice
from gateways.adyen.adapter import Adyen
from gateways.adyen.signatures import signature
from gateways.contract import Gateway, Webhook, WebhookKeys, WebhookRefused
from tests.gateways.adyen.payloads import HMAC_KEY, MERCHANT, PAYMENT, body_of, item, signed, webhook

ADYEN: Gateway = Adyen()
KEYS = WebhookKeys((HMAC_KEY,), {"merchant_account": MERCHANT})
ANOTHER_KEY = "0" * 62 + "7F"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HELD, CAPTURE = f"{PAYMENT}-a1", f"{PAYMENT}-c2"


def read(webhook: Webhook, keys: WebhookKeys = KEYS) -> tuple[Notice, ...] | WebhookRefused:
    return ADYEN.read_webhook(webhook, keys, NOW)


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
    notices = read(
        webhook(item("AUTHORISATION", HELD), item("CAPTURE", CAPTURE), item("REPORT_AVAILABLE", ""))
    )

    assert not isinstance(notices, WebhookRefused)
    assert [one.event_type for one in notices] == ["AUTHORISATION", "CAPTURE", "REPORT_AVAILABLE"]


@pytest.mark.parametrize("spoil", [{"success": "false"}, {"amount": {"currency": "USD", "value": 1}}])
def test_one_forged_item_refuses_all(spoil: dict[str, Any]):
    good, bad = signed(item("AUTHORISATION", HELD)), signed(item("CAPTURE", CAPTURE)) | spoil

    assert read(Webhook({}, body_of(good, bad))) == WebhookRefused("forged")


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

    assert read(Webhook({}, body_of(signed(item("CAPTURE", CAPTURE)) | spoilt))) == WebhookRefused("forged")


@pytest.mark.parametrize("field", ["merchantReference", "amount", "eventCode", "success"])
def test_a_field_that_was_taken_away_is_forged(field: str):
    shown = signed(item("CAPTURE", CAPTURE))
    del shown[field]

    assert read(Webhook({}, body_of(shown))) == WebhookRefused("forged")


def test_either_of_two_keys_is_taken_while_they_are_exchanged():
    both = replace(KEYS, secrets=(ANOTHER_KEY, HMAC_KEY))

    for key in both.secrets:
        assert not isinstance(read(webhook(item("CAPTURE", CAPTURE), key=key), both), WebhookRefused)
    assert read(webhook(item("CAPTURE", CAPTURE), key=ANOTHER_KEY)) == WebhookRefused("forged")


@pytest.mark.parametrize("secret", ["", "not hexadecimal", "00", "00" * 15])
def test_a_key_that_is_none_verifies_nothing(secret: str):
    shown = item("CAPTURE", CAPTURE)
    claim = signature(shown, bytes.fromhex(secret) if secret[:2] in {"", "00"} else b"")
    forged = shown | {"additionalData": {"hmacSignature": claim}}

    assert read(Webhook({}, body_of(forged)), replace(KEYS, secrets=(secret,))) == WebhookRefused("forged")


@pytest.mark.parametrize("more", [{}, {"hmacSignature": ""}, {"hmacSignature": 7}, None, []])
def test_an_item_without_its_signature_is_unsigned(more: Any):
    good = signed(item("AUTHORISATION", HELD))

    for bare in (good | {"additionalData": more}, item("CAPTURE", CAPTURE)):
        assert read(Webhook({}, body_of(good, bare))) == WebhookRefused("unsigned")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"\xff", orjson.dumps({"notificationItems": {}})),
        orjson.dumps({"notificationItems": [signed(item("CAPTURE", CAPTURE))]}),  # not wrapped
        body_of("x"),
        *(body_of(signed(item("CAPTURE", CAPTURE, eventCode=event))) for event in ("", "a b", "A" * 61)),
        body_of(signed(item("CAPTURE", CAPTURE) | {"success": "TRUE"})),
        body_of(signed(item("CAPTURE", CAPTURE, pspReference=...))),
    ],
)
def test_what_is_no_webhook_of_adyens_is_malformed(body: bytes):
    assert read(Webhook({}, body)) == WebhookRefused("malformed")


SIGNED: list[dict[str, Any]] = [
    {"pspReference": "ABCD2345EFGH6789"},
    {"originalReference": "ABCD2345EFGH6789"},
    {"merchantReference": f"{PAYMENT}-c3"},
    {"amount": {"currency": "USD", "value": 1098}},
    {"amount": {"currency": "EUR", "value": 1099}},
    {"eventCode": "CAPTURE_FAILED"},
    {"success": "false"},
]


@pytest.mark.parametrize("other", SIGNED, ids=lambda other: next(iter(other)))
def test_what_is_signed_tells_two_events_apart_and_no_other_field_does(other: dict[str, Any]):
    """Source: docs.adyen.com, verify HMAC signatures: eight fields, eventDate not among them."""
    first = _only(webhook(item("CAPTURE", CAPTURE)))
    dated = _only(webhook(item("CAPTURE", CAPTURE, eventDate="2026-11-28T09:00:00+01:00", reason="x")))
    another = _only(webhook(item("CAPTURE", CAPTURE) | other))

    assert first.event_id != dated.event_id
    assert first.signed_as == dated.signed_as is not None
    assert another.signed_as not in {None, first.signed_as}


LOGINS = ("shop:a long pass:word", "shop:the next password")
# RFC 7617: base64 of user:password.
SENT = ("Basic c2hvcDphIGxvbmcgcGFzczp3b3Jk", "basic c2hvcDp0aGUgbmV4dCBwYXNzd29yZA==")


@pytest.mark.parametrize("sent", SENT)
def test_all_of_an_item_that_comes_with_either_log_in_is_adyens(sent: str):
    keys = replace(KEYS, logins=LOGINS)
    came = webhook(item("CAPTURE", CAPTURE))

    assert _only(Webhook({**came.headers, "authorization": sent}, came.body), keys).signed_as is None


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (None, "unsigned"),
        ("", "forged"),
        ("Basic", "forged"),
        ("Basic c2hvcDphIGxvbmcgcGFzczp3b3Jr", "forged"),
        ("Bearer c2hvcDphIGxvbmcgcGFzczp3b3Jk", "forged"),
    ],
)
def test_a_signed_item_without_the_log_in_is_refused_where_there_is_one(sent: str | None, why: Any):
    came = webhook(item("CAPTURE", CAPTURE))
    headers = {} if sent is None else {"authorization": sent}

    assert read(Webhook(headers, came.body), replace(KEYS, logins=LOGINS)) == WebhookRefused(why)


def test_a_log_in_is_no_signature():
    came = webhook(item("CAPTURE", CAPTURE), key=ANOTHER_KEY)

    assert read(
        Webhook({"authorization": SENT[0]}, came.body), replace(KEYS, logins=LOGINS)
    ) == WebhookRefused("forged")


def _only(webhook: Webhook, keys: WebhookKeys = KEYS) -> Notice:
    notices = read(webhook, keys)
    assert not isinstance(notices, WebhookRefused), notices
    (notice,) = notices
    return notice
