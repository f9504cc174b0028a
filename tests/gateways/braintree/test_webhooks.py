"""Braintree's webhooks: only what is rightly signed is read, and nothing in it is expanded."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from gateways.braintree.adapter import Braintree
from gateways.contract import Gateway, Hook, HookKeys, HookRefused, Notice
from tests.gateways.braintree import official
from tests.gateways.braintree.says import (
    KEYS,
    PAYMENT,
    PRIVATE_KEY,
    PUBLIC_KEY,
    hook,
    notification,
    signature,
)

BRAINTREE: Gateway = Braintree()
NOW = datetime(2026, 3, 1, 10, 21, tzinfo=UTC)
SETTLED = notification(
    "transaction_settled",
    f"<transaction><id>kdb5gx8g</id><status>settled</status><order-id>{PAYMENT}-s1</order-id></transaction>",
)


def read(given: Hook, keys: HookKeys = KEYS) -> tuple[Notice, ...] | HookRefused:
    return BRAINTREE.read_hook(given, keys, NOW)


def notice(given: Hook, keys: HookKeys = KEYS) -> Notice:
    notices = read(given, keys)
    assert isinstance(notices, tuple)
    assert len(notices) == 1
    return notices[0]


def why(given: Hook, keys: HookKeys = KEYS) -> str:
    refused = read(given, keys)
    assert isinstance(refused, HookRefused)
    return refused.why


def disputed(kind: str = "dispute_opened", **more: str | None) -> str:
    said = {
        "id": "dsp1",
        "amount": "100.00",
        "amount-disputed": "10.99",
        "currency-iso-code": "USD",
        "reason": "fraud",
        "reply-by-date": "2026-03-15",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    tags = "".join(f"<{name}>{value}</{name}>" for name, value in said.items() if value is not None)
    order = f"<transaction><id>kdb5gx8g</id><order-id>{PAYMENT}-s1</order-id></transaction>"
    return notification(kind, f"<dispute>{tags}{order}</dispute>")


@pytest.mark.parametrize("kind", ["transaction_settled", "transaction_settlement_declined"])
def test_news_of_a_transaction_are_asked_for_by_its_order_id(kind: str):
    said = notice(hook(SETTLED.replace("transaction_settled", kind)))

    assert (said.event_type, said.reference, said.psp_id) == (kind, f"{PAYMENT}-s1", None)
    assert said.outcome is not None
    assert (said.outcome.kind, said.outcome.code) == ("UNKNOWN", kind)
    assert said.at == datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("order_id", "reference"), [(f"{PAYMENT}-r2", f"{PAYMENT}-r2"), (f"{PAYMENT}-s1", None), ("", None)]
)
def test_a_refund_that_failed_is_asked_for_if_it_is_named_else_an_alarm(order_id: str, reference: str | None):
    subject = f"<transaction><id>a</id><order-id>{order_id}</order-id></transaction>"
    said = notice(hook(notification("refund_failed", subject)))

    assert said.reference == reference
    assert said.outcome is not None
    assert said.outcome.kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("dispute_opened", "opened"),
        ("dispute_under_review", "opened"),
        ("dispute_disputed", "opened"),
        ("dispute_won", "won"),
        ("dispute_lost", "lost"),
        ("dispute_accepted", "lost"),
        ("dispute_auto_accepted", "lost"),
        ("dispute_expired", "lost"),
    ],
)
def test_each_kind_of_dispute_has_a_row(kind: str, state: str):
    said = notice(hook(disputed(kind)))

    assert said.reference == f"{PAYMENT}-s1"
    assert said.outcome is None
    assert said.dispute is not None
    assert (said.dispute.dispute_id, said.dispute.state, said.dispute.reason) == ("dsp1", state, "fraud")
    assert (said.dispute.amount_minor, said.dispute.currency) == (1099, "USD")
    assert said.dispute.respond_by == datetime(2026, 3, 15, tzinfo=UTC)


def test_a_dispute_of_the_older_form_has_one_amount_and_need_not_say_until_when():
    said = notice(hook(disputed(amount_disputed=None, reply_by_date=None, reason="no such reason at all")))

    assert said.dispute is not None
    assert (said.dispute.amount_minor, said.dispute.respond_by, said.dispute.reason) == (10000, None, None)


@pytest.mark.parametrize(
    "more",
    [{"id": None}, {"currency_iso_code": None}, {"currency_iso_code": "XXX"}, {"amount_disputed": "x"}, {"amount_disputed": "0.00"}],
)  # fmt: skip
def test_a_dispute_that_does_not_say_what_it_is_about_is_malformed(more: dict[str, str | None]):
    assert why(hook(disputed(**more))) == "malformed"


@pytest.mark.parametrize(
    "kind",
    [
        "check",
        "disbursement",
        "disbursement_exception",
        "transaction_disbursed",
        "subscription_canceled",
        "a_new_kind",
    ],
)
def test_other_kinds_say_nothing_of_an_operation(kind: str):
    said = notice(hook(notification(kind, "<x>1</x>")))

    assert (said.event_type, said.reference, said.outcome, said.dispute) == (kind, None, None, None)


def test_a_repeat_has_the_same_event_id_and_another_event_another():
    first, other = notice(hook(SETTLED)), notice(hook(disputed()))

    assert first.event_id == notice(hook(SETTLED)).event_id != other.event_id


def test_the_payload_may_be_signed_with_one_more_line_feed():
    payload = base64.encodebytes(SETTLED.encode()).decode()
    bare = payload.removesuffix("\n")

    assert notice(hook("", payload=bare, signed=f"{PUBLIC_KEY}|{signature(payload)}")).event_type
    assert notice(hook("", payload=bare, signed=f"{PUBLIC_KEY}|{signature(bare)}")).event_type
    assert why(hook("", payload=payload, signed=f"{PUBLIC_KEY}|{signature(bare)}")) == "forged"


@pytest.mark.parametrize("private_keys", [(PRIVATE_KEY, "new"), ("new", PRIVATE_KEY)])
def test_either_of_two_keys_is_right_while_they_are_exchanged(private_keys: tuple[str, ...]):
    assert notice(hook(SETTLED), replace(KEYS, secrets=private_keys)).event_type == "transaction_settled"


def test_the_pair_of_our_public_key_is_taken_among_several():
    payload = base64.encodebytes(SETTLED.encode()).decode()
    signed = f"another|{'0' * 40}&{PUBLIC_KEY}|{signature(payload)}"

    assert notice(hook(SETTLED, signed=signed)).event_type == "transaction_settled"


@pytest.mark.parametrize(
    "signed",
    [
        f"{PUBLIC_KEY}|{'0' * 40}",
        f"{PUBLIC_KEY}|",
        f"{PUBLIC_KEY}|\u00e9",
        "no pair",
        f"another|{signature(base64.encodebytes(SETTLED.encode()).decode())}",
        f"{PUBLIC_KEY}|{signature(base64.encodebytes(SETTLED.encode()).decode(), 'another')}",
        f"{PUBLIC_KEY}|{signature(base64.encodebytes(SETTLED.encode()).decode()).upper()}",
    ],
)
def test_what_is_not_rightly_signed_is_forged(signed: str):
    assert why(hook(SETTLED, signed=signed)) == "forged"


def test_one_changed_letter_is_forged():
    payload = base64.encodebytes(SETTLED.encode()).decode()
    changed = payload.replace("P", "Q", 1)

    assert why(hook("", payload=changed, signed=f"{PUBLIC_KEY}|{signature(payload)}")) == "forged"


@pytest.mark.parametrize("without", [{"public_key": ""}, {}])
def test_without_our_public_key_nothing_is_right(without: dict[str, str]):
    assert why(hook(SETTLED), replace(KEYS, options=without)) == "forged"
    assert why(hook(SETTLED), replace(KEYS, secrets=())) == "forged"


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"bt_payload=YQ%3D%3D", b"bt_signature=&bt_payload=YQ", b"\xff", b"{}", b"&" * 1000,
     urlencode([("bt_signature", "a|b")] * 2 + [("bt_payload", "YQ==")]).encode()],
)  # fmt: skip
def test_what_is_no_form_with_a_signature_is_unsigned(body: bytes):
    assert why(Hook({}, body)) == "unsigned"


@pytest.mark.parametrize("payload", ["", "a b", "a\r\nb", "<xml/>", "a\u00e9", "a-_b"])
def test_a_payload_with_other_letters_is_malformed_however_it_is_signed(payload: str):
    assert why(hook("", payload=payload)) == "malformed"


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<notification><kind>&b;</kind></notification>"""
OUTSIDE = (
    """<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><notification><kind>&e;</kind></notification>"""
)


@pytest.mark.parametrize(
    "xml",
    [
        BOMB,
        OUTSIDE,
        '<!DOCTYPE notification SYSTEM "http://x/y.dtd"><notification><kind>check</kind></notification>',
        "<notification><kind>&undeclared;</kind></notification>",
        "<notification><kind>check</kind>",
        "<other><kind>check</kind></other>",
        "<notification/>",
        "<notification><kind>two words</kind></notification>",
        "",
        b"\x00\xff",
        '<?xml version="1.0" encoding="no-such"?><notification/>',
        "<a>" * 50_000,
    ],
)
def test_rightly_signed_xml_that_is_not_plain_is_malformed_and_nothing_is_expanded(xml: str | bytes):
    assert why(hook(xml)) == "malformed"


@pytest.mark.parametrize("payload", ["a", "====", "YQ=\n", "YQ==YQ=="])
def test_what_is_no_base64_is_malformed(payload: str):
    assert why(hook("", payload=payload)) == "malformed"


def test_a_card_number_or_a_secret_in_an_event_is_not_kept():
    subject = "<transaction><id>4111111111111111</id><order-id>4111111111111111</order-id></transaction>"
    said = notice(hook(notification("transaction_settled", subject)))

    assert "4111" not in repr(said)
    assert said.reference is None


@pytest.mark.parametrize("kind", official.KINDS)
def test_what_the_official_library_signs_is_read(kind: str):
    sample = official.gateway().webhook_testing.sample_notification(kind, "kdb5gx8g")
    sent = Hook({}, urlencode(sample).encode())

    said = notice(sent)

    assert said.event_type == kind
    assert (said.dispute is not None) == kind.startswith("dispute_")


def test_the_address_is_proven_as_the_official_library_proves_it():
    query = {"bt_challenge": "20f9f8ed05f77439fe955c977e4c8a53"}

    assert BRAINTREE.hook_challenge(query, KEYS) == official.gateway().webhook_notification.verify(
        query["bt_challenge"]
    )


@pytest.mark.parametrize(
    "said", ["", "20F9F8ED05F77439FE955C977E4C8A53", "a" * 19, "a" * 33, "g" * 20, "a" * 20 + "\n"]
)
def test_another_challenge_is_not_answered(said: str):
    assert BRAINTREE.hook_challenge({"bt_challenge": said}, KEYS) is None
    assert BRAINTREE.hook_challenge({}, KEYS) is None
    assert BRAINTREE.certificate_url(hook(SETTLED), {}) is None
