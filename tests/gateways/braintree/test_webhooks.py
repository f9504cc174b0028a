"""Braintree's webhooks: only what is rightly signed is read, and nothing in it is expanded."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from commands.balances import Balances
from commands.notices import Notice
from gateways.braintree.adapter import Braintree
from gateways.contract import Gateway, Webhook, WebhookKeys, WebhookRefused
from tests.gateways.braintree import official
from tests.gateways.braintree.payloads import (
    KEYS,
    PAYMENT,
    PRIVATE_KEY,
    PUBLIC_KEY,
    notification,
    signature,
    webhook,
)

BRAINTREE: Gateway = Braintree()
NOW = datetime(2026, 3, 1, 10, 21, tzinfo=UTC)
SETTLED = notification(
    "transaction_settled",
    "<transaction><id>kdb5gx8g</id><status>settled</status><type>sale</type>"
    "<currency-iso-code>USD</currency-iso-code><amount>10.99</amount>"
    f"<order-id>{PAYMENT}-s1</order-id></transaction>",
)


def read(given: Webhook, keys: WebhookKeys = KEYS) -> tuple[Notice, ...] | WebhookRefused:
    return BRAINTREE.read_webhook(given, keys, NOW)


def notice(given: Webhook, keys: WebhookKeys = KEYS) -> Notice:
    notices = read(given, keys)
    assert isinstance(notices, tuple)
    assert len(notices) == 1
    return notices[0]


def why(given: Webhook, keys: WebhookKeys = KEYS) -> str:
    refused = read(given, keys)
    assert isinstance(refused, WebhookRefused)
    return refused.reason


def disputed(event: str = "dispute_opened", /, **more: str | None) -> str:
    payload = {
        "id": "dsp1",
        "amount": "100.00",
        "amount-disputed": "10.99",
        "currency-iso-code": "USD",
        "reason": "fraud",
        "reply-by-date": "2026-03-15",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    tags = "".join(f"<{name}>{value}</{name}>" for name, value in payload.items() if value is not None)
    order = f"<transaction><id>kdb5gx8g</id><order-id>{PAYMENT}-s1</order-id></transaction>"
    return notification(event, f"<dispute>{tags}{order}</dispute>")


@pytest.mark.parametrize(
    ("kind", "outcome_kind"),
    [("transaction_settled", "UNKNOWN"), ("transaction_settlement_declined", "DECLINED_HARD")],
)
def test_an_update_of_a_transaction_names_its_order_id(kind: str, outcome_kind: str):
    received = notice(webhook(SETTLED.replace("transaction_settled", kind)))

    assert (received.event_type, received.reference, received.psp_id) == (kind, f"{PAYMENT}-s1", None)
    assert received.outcome is not None
    assert (received.outcome.kind, received.outcome.code) == (outcome_kind, kind)
    assert received.at == datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)


def test_a_settled_transaction_shows_what_was_taken():
    received = notice(webhook(SETTLED))

    assert received.outcome is not None
    assert received.outcome.balances == Balances(captured_minor=1099, held_minor=0)


def test_a_settled_transaction_is_named_by_its_id_of_the_newer_interface():
    received = notice(webhook(SETTLED))

    assert received.outcome is not None
    assert base64.b64decode(f"{received.outcome.psp_id}=") == b"transaction_kdb5gx8g"


@pytest.mark.parametrize(
    ("order_id", "reference"),
    # A reversal has the order id of what it reverses.
    [(f"{PAYMENT}-r2", f"{PAYMENT}-r2"), (f"{PAYMENT}-s1", f"{PAYMENT}-s1")],
)
def test_a_refund_that_failed_is_reported_of_what_its_order_id_names(order_id: str, reference: str | None):
    subject = f"<transaction><id>a</id><order-id>{order_id}</order-id></transaction>"
    received = notice(webhook(notification("refund_failed", subject)))

    assert received.reference == reference
    assert received.outcome is not None
    assert received.outcome.kind == "DECLINED_HARD"


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
    received = notice(webhook(disputed(kind)))

    assert received.reference == f"{PAYMENT}-s1"
    assert received.outcome is None
    assert received.dispute is not None
    assert (received.dispute.dispute_id, received.dispute.state, received.dispute.reason) == (
        "dsp1",
        state,
        "fraud",
    )
    assert (received.dispute.amount_minor, received.dispute.currency) == (1099, "USD")
    assert received.dispute.respond_by == datetime(2026, 3, 15, tzinfo=UTC)


def test_a_dispute_of_the_older_form_has_one_amount_and_need_not_say_until_when():
    received = notice(
        webhook(disputed(amount_disputed=None, reply_by_date=None, reason="no such reason at all"))
    )

    assert received.dispute is not None
    assert (received.dispute.amount_minor, received.dispute.respond_by, received.dispute.reason) == (
        10000,
        None,
        None,
    )


@pytest.mark.parametrize(
    "more",
    [{"id": None}, {"currency_iso_code": None}, {"currency_iso_code": "XXX"}, {"amount_disputed": "x"}, {"amount_disputed": "0.00"}],
)  # fmt: skip
def test_a_dispute_that_does_not_say_what_it_is_about_is_an_alarm_beside_its_payment(
    more: dict[str, str | None],
):
    received = notice(webhook(disputed(**more)))

    assert (received.alarm, received.dispute, received.reference) == (
        "dispute_unreadable",
        None,
        f"{PAYMENT}-s1",
    )


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("dispute_opened", "inquiry"),
        ("dispute_disputed", "inquiry"),
        ("dispute_won", "closed"),
        ("dispute_expired", "closed"),
    ],
)
def test_a_retrieval_takes_nothing(kind: str, state: str):
    received = notice(webhook(disputed(kind, kind="retrieval")))

    assert received.dispute is not None
    assert received.dispute.state == state


@pytest.mark.parametrize("date", ["", "no date", "0001-01-01", "9999-12-31"])
def test_a_date_that_is_none_never_costs_the_dispute(date: str):
    received = notice(webhook(disputed(reply_by_date=date)))

    assert received.dispute is not None
    assert (received.dispute.state, received.dispute.respond_by) == ("opened", None)


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
def test_other_kinds_report_nothing_of_an_operation(kind: str):
    received = notice(webhook(notification(kind, "<x>1</x>")))

    assert (received.event_type, received.reference, received.outcome, received.dispute) == (
        kind,
        None,
        None,
        None,
    )


def test_a_repeat_has_the_same_event_id_and_another_event_another():
    first, other = notice(webhook(SETTLED)), notice(webhook(disputed()))

    assert first.event_id == notice(webhook(SETTLED)).event_id != other.event_id


def test_the_payload_may_be_signed_with_one_more_line_feed():
    payload = base64.encodebytes(SETTLED.encode()).decode()
    bare = payload.removesuffix("\n")

    assert notice(webhook("", payload=bare, signed=f"{PUBLIC_KEY}|{signature(payload)}")).event_type
    assert notice(webhook("", payload=bare, signed=f"{PUBLIC_KEY}|{signature(bare)}")).event_type
    assert why(webhook("", payload=payload, signed=f"{PUBLIC_KEY}|{signature(bare)}")) == "forged"


@pytest.mark.parametrize("private_keys", [(PRIVATE_KEY, "new"), ("new", PRIVATE_KEY)])
def test_either_of_two_keys_is_right_while_they_are_exchanged(private_keys: tuple[str, ...]):
    assert notice(webhook(SETTLED), replace(KEYS, secrets=private_keys)).event_type == "transaction_settled"


def test_the_pair_of_our_public_key_is_taken_among_several():
    payload = base64.encodebytes(SETTLED.encode()).decode()
    signed = f"another|{'0' * 40}&{PUBLIC_KEY}|{signature(payload)}"

    assert notice(webhook(SETTLED, signed=signed)).event_type == "transaction_settled"


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
    assert why(webhook(SETTLED, signed=signed)) == "forged"


def test_one_changed_letter_is_forged():
    payload = base64.encodebytes(SETTLED.encode()).decode()
    changed = payload.replace("P", "Q", 1)

    assert why(webhook("", payload=changed, signed=f"{PUBLIC_KEY}|{signature(payload)}")) == "forged"


@pytest.mark.parametrize("without", [{"public_key": ""}, {}])
def test_without_our_public_key_nothing_is_right(without: dict[str, str]):
    assert why(webhook(SETTLED), replace(KEYS, options=without)) == "forged"
    assert why(webhook(SETTLED), replace(KEYS, secrets=())) == "forged"


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"bt_payload=YQ%3D%3D", b"bt_signature=&bt_payload=YQ", b"\xff", b"{}", b"&" * 1000,
     urlencode([("bt_signature", "a|b")] * 2 + [("bt_payload", "YQ==")]).encode()],
)  # fmt: skip
def test_what_is_no_form_with_a_signature_is_unsigned(body: bytes):
    assert why(Webhook({}, body)) == "unsigned"


@pytest.mark.parametrize("payload", ["", "a b", "a\r\nb", "<xml/>", "a\u00e9", "a-_b"])
def test_a_payload_with_other_letters_is_malformed_however_it_is_signed(payload: str):
    assert why(webhook("", payload=payload)) == "malformed"


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
    assert why(webhook(xml)) == "malformed"


@pytest.mark.parametrize("payload", ["a", "====", "YQ=\n", "YQ==YQ=="])
def test_what_is_no_base64_is_malformed(payload: str):
    assert why(webhook("", payload=payload)) == "malformed"


def test_a_card_number_or_a_secret_in_an_event_is_not_kept():
    subject = "<transaction><id>4111111111111111</id><order-id>4111111111111111</order-id></transaction>"
    received = notice(webhook(notification("transaction_settled", subject)))

    assert "4111" not in repr(received)
    assert received.reference is None


@pytest.mark.parametrize("kind", official.KINDS)
def test_what_the_official_library_signs_is_read(kind: str):
    sample = official.gateway().webhook_testing.sample_notification(kind, "kdb5gx8g")
    sent = Webhook({}, urlencode(sample).encode())

    received = notice(sent)

    assert received.event_type == kind
    assert (received.dispute is not None) == kind.startswith("dispute_")


def test_the_address_is_proven_as_the_official_library_proves_it():
    query = {"bt_challenge": "20f9f8ed05f77439fe955c977e4c8a53"}

    assert BRAINTREE.webhook_challenge(query, KEYS) == official.gateway().webhook_notification.verify(
        query["bt_challenge"]
    )


@pytest.mark.parametrize(
    "text", ["", "20F9F8ED05F77439FE955C977E4C8A53", "a" * 19, "a" * 33, "g" * 20, "a" * 20 + "\n"]
)
def test_another_challenge_gets_no_response(text: str):
    assert BRAINTREE.webhook_challenge({"bt_challenge": text}, KEYS) is None
    assert BRAINTREE.webhook_challenge({}, KEYS) is None


@pytest.mark.parametrize("order_id", ["10042", "Order 7", "0123abcd-s1"])
def test_another_shops_transactions_on_the_account_report_nothing(order_id: str):
    transaction = f"<transaction><id>a</id><order-id>{order_id}</order-id></transaction>"
    for kind in ("transaction_settled", "transaction_settlement_declined", "refund_failed"):
        received = notice(webhook(notification(kind, transaction)))

        assert (received.event_type, received.reference, received.outcome, received.dispute) == (
            kind,
            None,
            None,
            None,
        )


def test_another_shops_dispute_reports_nothing_and_one_that_names_no_order_keeps_its_alarm():
    another = notice(webhook(disputed().replace(f"{PAYMENT}-s1", "10042")))
    nameless = notice(webhook(disputed().replace(f"{PAYMENT}-s1", "")))

    assert (another.reference, another.dispute) == (None, None)
    assert nameless.reference is None
    assert nameless.dispute is not None


@pytest.mark.parametrize("half", [b"&#xD83D;", b"&#xd83d;", b"&#55357;", b"&#x00DE00;", b"\xed\xa0\xbd"])
def test_half_a_character_in_a_text_is_no_reason_to_refuse_a_webhook(half: bytes):
    xml = SETTLED.encode().replace(b"<status>settled", b"<status>settled " + half)

    assert notice(webhook(xml)).outcome == notice(webhook(SETTLED)).outcome


def test_a_document_without_end_is_still_malformed():
    assert why(webhook(SETTLED.removesuffix("</notification>") + "&#xD83D;")) == "malformed"
