"""A webhook that names nothing but the PSP's own id of what we had done, in the shapes of the PSPs'
documents: its payment is found by the response to our call or to a lookup."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from commands.balances import Move
from commands.messages import Outcome
from commands.notices import Notice
from gateways.adyen.adapter import Adyen
from gateways.braintree.adapter import Braintree
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from gateways.paypal.adapter import PayPal
from gateways.razorpay.adapter import Razorpay
from gateways.stripe.adapter import Stripe
from tests.gateways.adyen import payloads as adyen
from tests.gateways.braintree import payloads as braintree
from tests.gateways.paypal import payloads as paypal
from tests.gateways.paypal import signing
from tests.gateways.razorpay import payloads as razorpay
from tests.gateways.stripe import payloads, webhooks

CHARGE: Final = "ch_3MtwBwLkdIwHu7ix28a3tqPa"
CAPTURE_ID, AUTHORIZATION_ID, REFUND_ID = (
    name.rpartition("/")[2] for name in (paypal.CAPTURED, paypal.AUTHORIZED, paypal.REFUNDED)
)
LEGACY: Final = "kdb5gx8g"
FOREIGN: Final = "Order 7"


def _one(read: tuple[Notice, ...] | WebhookRefused) -> Notice:
    assert not isinstance(read, WebhookRefused)
    (notice,) = read
    return notice


def _stripe(kind: str, payload: dict[str, Any]) -> Notice:
    body = webhooks.event(kind, payload)
    return _one(
        Stripe().read_webhook(
            Webhook(webhooks.headers(body), body), WebhookKeys((webhooks.SECRET,), {}), webhooks.NOW
        )
    )


def _adyen(event: str, **more: Any) -> Notice:
    keys = WebhookKeys((adyen.HMAC_KEY,), {"merchant_account": adyen.MERCHANT})
    return _one(Adyen().read_webhook(adyen.webhook(adyen.item(event, FOREIGN, **more)), keys, webhooks.NOW))


def _paypal(kind: str, resource: dict[str, Any]) -> Notice:
    event = {"id": "WH-1", "event_type": kind, "create_time": "2026-11-25T12:00:00Z", "resource": resource}
    return _one(PayPal().read_webhook(signing.signed(event), signing.keys(), signing.NOW))


def _braintree(kind: str, subject: str) -> Notice:
    webhook = braintree.webhook(braintree.notification(kind, subject))
    return _one(Braintree().read_webhook(webhook, braintree.KEYS, webhooks.NOW))


def _razorpay(kind: str, **entities: Any) -> Notice:
    keys = WebhookKeys((razorpay.WEBHOOK_SECRET,), {})
    return _one(
        Razorpay().read_webhook(razorpay.webhook(razorpay.event(kind, **entities)), keys, webhooks.NOW)
    )


def _charge_only(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"metadata": {}, "payment_intent": None, "charge": CHARGE}


def _up(href: str) -> list[dict[str, str]]:
    return [
        {"rel": "self", "href": "https://api.paypal.com/v2/payments/refunds/1"},
        {"rel": "up", "href": href},
    ]


def _reversal(**more: Any) -> dict[str, Any]:
    """PayPal's sample of PAYMENT.CAPTURE.REVERSED, with a capture of ours."""
    return {
        "id": "09E71677NS257044M",
        "amount": paypal.usd("10.99"),
        "note_to_payer": "Payment reversed",
        "status": "COMPLETED",
        "links": _up(f"https://api.paypal.com/v2/payments/captures/{CAPTURE_ID}"),
        **more,
    }


def _unnamed(resource: dict[str, Any]) -> dict[str, Any]:
    return resource | {"custom_id": None, "invoice_id": None}


def _xml(more: str = "") -> str:
    amount = "<currency-iso-code>USD</currency-iso-code><amount>10.99</amount>"
    return f"<transaction><id>{LEGACY}</id>{amount}{more}</transaction>"


DISPUTED: Final = (
    "<dispute><id>dsp1</id><amount-disputed>10.99</amount-disputed>"
    f"<currency-iso-code>USD</currency-iso-code><transaction><id>{LEGACY}</id></transaction></dispute>"
)

STRIPE_OUTCOME: Final = Stripe().outcome(
    payloads.CALL, payloads.http_response(200, payloads.intent(latest_charge=CHARGE))
)
ADYEN_SALE: Final = replace(
    adyen.CALL, kind="sale", reference=f"{adyen.PAYMENT}-s1", step="3", psp_id=adyen.PSP_ID
)
ADYEN_OUTCOME: Final = Adyen().outcome(ADYEN_SALE, adyen.http_response(201, adyen.received(ADYEN_SALE)))
PAYPAL_OUTCOME: Final = PayPal().found(
    replace(paypal.SALE, psp_id=paypal.ORDER),
    paypal.http_response(200, paypal.order("COMPLETED", paypal.SALE, captures=[paypal.taken()])),
)
PAYPAL_HELD: Final = PayPal().found(
    replace(paypal.AUTHORIZE, psp_id=paypal.ORDER),
    paypal.http_response(
        200, paypal.order("COMPLETED", paypal.AUTHORIZE, authorizations=[paypal.authorization()])
    ),
)
PAYPAL_BY_HAND: Final = PayPal().found(
    replace(paypal.AUTHORIZE, psp_id=paypal.AUTHORIZED),
    paypal.http_response(
        200,
        paypal.order(
            "COMPLETED",
            paypal.AUTHORIZE,
            authorizations=[paypal.authorization("PARTIALLY_CAPTURED")],
            captures=[paypal.capture(invoice_id=None)],
        ),
    ),
)
BRAINTREE_OUTCOME: Final = Braintree().outcome(
    braintree.CALL, braintree.http_response(braintree.charged(braintree.transaction(legacyId=LEGACY)))
)
RAZORPAY_OUTCOME: Final = Razorpay().found(
    razorpay.PAY, razorpay.http_response(200, razorpay.listed(razorpay.payment("captured")))
)

TABLE: Final[dict[str, tuple[Outcome | None, Notice]]] = {
    "stripe, a dispute of a charge": (
        STRIPE_OUTCOME,
        _stripe("charge.dispute.created", _charge_only(webhooks.dispute())),
    ),
    "stripe, a refund of a charge": (
        STRIPE_OUTCOME,
        _stripe("refund.created", _charge_only(payloads.refund())),
    ),
    "stripe, a refund of a charge that failed": (
        STRIPE_OUTCOME,
        _stripe("refund.failed", _charge_only(payloads.refund("failed"))),
    ),
    "stripe, a charge that lapsed": (
        STRIPE_OUTCOME,
        _stripe("charge.expired", {"id": CHARGE, "object": "charge", "metadata": {}, "payment_intent": None}),
    ),
    "adyen, a dispute": (ADYEN_OUTCOME, _adyen("CHARGEBACK", originalReference=adyen.PSP_ID)),
    "adyen, a refund by hand": (ADYEN_OUTCOME, _adyen("REFUND", originalReference=adyen.PSP_ID)),
    "adyen, a capture by hand": (ADYEN_OUTCOME, _adyen("CAPTURE", originalReference=adyen.PSP_ID)),
    "adyen, a cancel by hand": (ADYEN_OUTCOME, _adyen("CANCELLATION", originalReference=adyen.PSP_ID)),
    "adyen, one or the other": (ADYEN_OUTCOME, _adyen("CANCEL_OR_REFUND", originalReference=adyen.PSP_ID)),
    "adyen, a sale's capture that failed": (
        ADYEN_OUTCOME,
        _adyen("CAPTURE_FAILED", originalReference=adyen.PSP_ID, pspReference=adyen.MODIFICATION),
    ),
    "paypal, a reversal": (PAYPAL_OUTCOME, _paypal("PAYMENT.CAPTURE.REVERSED", _reversal())),
    "paypal, a reversal with a note in place of a reference": (
        PAYPAL_OUTCOME,
        _paypal("PAYMENT.CAPTURE.REVERSED", _reversal(invoice_id=FOREIGN)),
    ),
    "paypal, a reversal of an external capture": (
        PAYPAL_BY_HAND,
        _paypal("PAYMENT.CAPTURE.REVERSED", _reversal()),
    ),
    "paypal, a refund by hand": (
        PAYPAL_OUTCOME,
        _paypal("PAYMENT.CAPTURE.REFUNDED", _reversal(invoice_id=FOREIGN)),
    ),
    "paypal, a capture": (
        PAYPAL_OUTCOME,
        _paypal("PAYMENT.CAPTURE.DENIED", _unnamed(paypal.taken("DECLINED"))),
    ),
    "paypal, an authorization": (
        PAYPAL_HELD,
        _paypal("PAYMENT.AUTHORIZATION.VOIDED", _unnamed(paypal.authorization("VOIDED"))),
    ),
    "paypal, a capture of an authorization": (
        PAYPAL_HELD,
        _paypal(
            "PAYMENT.CAPTURE.COMPLETED",
            _unnamed({"id": "NEW00000000000001", "status": "COMPLETED", "amount": paypal.usd("4.00")})
            | {"links": _up(f"https://api.paypal.com/v2/payments/authorizations/{AUTHORIZATION_ID}")},
        ),
    ),
    "paypal, a dispute": (
        PAYPAL_OUTCOME,
        _paypal(
            "CUSTOMER.DISPUTE.CREATED",
            paypal.dispute(disputed_transactions=[{"seller_transaction_id": CAPTURE_ID}]),
        ),
    ),
    "braintree, a dispute": (BRAINTREE_OUTCOME, _braintree("dispute_opened", DISPUTED)),
    "braintree, a settlement": (BRAINTREE_OUTCOME, _braintree("transaction_settled", _xml())),
    "braintree, a settlement that was declined": (
        BRAINTREE_OUTCOME,
        _braintree("transaction_settlement_declined", _xml()),
    ),
    "razorpay, a refund": (
        RAZORPAY_OUTCOME,
        _razorpay("refund.created", refund=razorpay.refund(notes=[])),
    ),
    "razorpay, a dispute": (
        RAZORPAY_OUTCOME,
        _razorpay("payment.dispute.created", dispute=razorpay.DISPUTE),
    ),
}


def _names(outcome: Outcome) -> Iterator[str | None]:
    yield outcome.psp_id
    yield from outcome.known_as
    moves: tuple[Move, ...] = () if outcome.balances is None else outcome.balances.moves
    for move in moves:
        yield move.psp_id
        yield from move.known_as


@pytest.mark.parametrize("what", TABLE)
def test_a_webhook_that_names_only_the_psps_own_id_finds_its_payment(what: str):
    known, notice = TABLE[what]

    assert known is not None
    assert notice.is_reportable
    assert notice.reference is None
    assert notice.psp_id in set(_names(known)) - {None}


def test_what_paypal_says_of_a_capture_alone_is_only_a_reason_to_ask():
    """A lookup confirms it: a signature that covers a checksum of the body is no proof."""
    for what in ("paypal, a reversal", "paypal, a refund by hand", "paypal, a capture"):
        notice = TABLE[what][1]

        assert notice.outcome is not None
        assert notice.outcome.kind == "UNKNOWN"
        assert not PayPal().changes(notice)
    assert PayPal().changes(TABLE["paypal, a dispute"][1])
