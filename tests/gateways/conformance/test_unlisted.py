"""A status or a code that stands in no table of its adapter is reported as new, whichever way it comes: in
the response to the call, in a lookup's, by webhook. What is reported as new is what
`aegispay_gateway_unlisted_codes_total` counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from commands.notices import Notice
from gateways.adyen.adapter import Adyen
from gateways.braintree.adapter import Braintree
from gateways.contract import HttpResponse, Webhook, WebhookKeys
from gateways.razorpay.adapter import Razorpay
from gateways.stripe.adapter import Stripe
from tests.gateways.adyen import payloads as adyen
from tests.gateways.braintree import payloads as braintree
from tests.gateways.conformance.book import CaseBook, Shows
from tests.gateways.conformance.books import CASEBOOKS, each_operation, operations
from tests.gateways.conformance.cases import Operation, Way, Without
from tests.gateways.paypal import payloads as paypal
from tests.gateways.paypal.test_events import notice_of as paypal_notice
from tests.gateways.razorpay import payloads as razorpay
from tests.gateways.stripe import webhooks as stripe
from tests.gateways.stripe.payloads import intent, refund

NEW: Final = "teleported"
_STATUSES: Final = frozenset({"status", "resultCode"})
# A void gets a 204; a payment's first step gets the address of its challenge.
_SAYS_NO_STATUS: Final = frozenset({("paypal", "void"), ("razorpay", "authorize")})


def _with_new_status(response: HttpResponse) -> HttpResponse | None:
    """None: it has no status."""
    sent, found = orjson.loads(response.body or b"{}"), False

    def changed(one: Any) -> Any:
        nonlocal found
        if isinstance(one, list):
            return [changed(each) for each in one]
        if not isinstance(one, dict):
            return one
        is_status = {name for name in one if name in _STATUSES and isinstance(one[name], str)}
        found = found or bool(is_status)
        return {name: NEW if name in is_status else changed(value) for name, value in one.items()}

    body = orjson.dumps(changed(sent))
    return replace(response, body=body) if found else None


@each_operation()
def test_a_status_in_the_response_to_the_call_is_reported_as_new(book: CaseBook, operation: Operation):
    call, response = book.case(operation, book.best(operation))
    new = _with_new_status(response)
    if new is None:
        assert (book.name, operation) in _SAYS_NO_STATUS
        return

    outcome = book.gateway.outcome(call, new)

    assert (outcome.kind, outcome.unlisted) == ("UNKNOWN", True), outcome
    assert not book.gateway.outcome(call, response).unlisted


def _looks() -> Iterator[Any]:
    for name, book in CASEBOOKS.items():
        for operation in operations(book):
            ways = book.looks[operation]
            for way, shows in {} if isinstance(ways, Without) else ways.items():
                if not isinstance(shows, Without):
                    yield pytest.param(book, operation, way, shows, id=f"{name}-{operation}-{way}")


@pytest.mark.parametrize(("book", "operation", "way", "shows"), list(_looks()))
def test_a_status_that_a_lookup_finds_is_reported_as_new(
    book: CaseBook, operation: Operation, way: Way, shows: Shows
):
    call = book.call(operation)
    call = replace(call, psp_id=book.psp_id(call.reference) if way == "by_id" else None)
    new = _with_new_status(shows(call, [call]))
    assert new is not None

    outcome = book.gateway.found(call, new)

    assert outcome is not None
    assert (outcome.kind, outcome.unlisted) == ("UNKNOWN", True), outcome


def _stripe(kind: str, payload: Any) -> Notice:
    body = stripe.event(kind, payload)
    keys = WebhookKeys((stripe.SECRET,), {})
    return _only(Stripe().read_webhook(Webhook(stripe.headers(body), body), keys, stripe.NOW))


def _adyen(event: str, reference: str, **more: Any) -> Notice:
    webhook = adyen.webhook(adyen.item(event, reference, **more))
    keys = WebhookKeys((adyen.HMAC_KEY,), {"merchant_account": adyen.MERCHANT})
    return _only(Adyen().read_webhook(webhook, keys, stripe.NOW))


def _braintree(kind: str) -> Notice:
    order = f"<transaction><id>kdb5gx8g</id><order-id>{braintree.PAYMENT}-s1</order-id></transaction>"
    money = "<amount>10.99</amount><currency-iso-code>USD</currency-iso-code>"
    payload = braintree.notification(kind, f"<dispute><id>dsp1</id>{money}{order}</dispute>")
    return _only(Braintree().read_webhook(braintree.webhook(payload), braintree.KEYS, stripe.NOW))


def _razorpay(event: str, **entities: Any) -> Notice:
    webhook = razorpay.webhook(razorpay.event(event, **entities))
    return _only(Razorpay().read_webhook(webhook, WebhookKeys((razorpay.WEBHOOK_SECRET,), {}), stripe.NOW))


def _only(notices: Any) -> Notice:
    (notice,) = notices
    assert isinstance(notice, Notice)
    return notice


_OUTCOMES: Final[Mapping[str, Callable[[str], Notice]]] = {
    "stripe-intent": lambda status: _stripe("payment_intent.succeeded", intent(status)),
    "stripe-refund": lambda status: _stripe("refund.updated", refund(status)),
    "adyen-refusal": lambda text: _adyen("AUTHORISATION", f"{adyen.PAYMENT}-a1", success=False, reason=text),
    "paypal-authorization": lambda status: paypal_notice(
        "PAYMENT.AUTHORIZATION.CREATED", paypal.authorization(status)
    ),
    "paypal-capture": lambda status: paypal_notice("PAYMENT.CAPTURE.COMPLETED", paypal.capture(status)),
    "paypal-refund": lambda status: paypal_notice("PAYMENT.CAPTURE.REFUNDED", paypal.refund(status)),
    "razorpay-payment": lambda status: _razorpay("payment.failed", payment=razorpay.payment(status)),
    "razorpay-refund": lambda status: _razorpay("refund.processed", refund=razorpay.refund(status)),
}
"""By webhook, with this status or reason. Braintree's webhooks hold none."""
_LISTED: Final = {
    "stripe-intent": "succeeded",
    "stripe-refund": "succeeded",
    "adyen-refusal": "Not enough balance",
    "paypal-authorization": "CREATED",
    "paypal-capture": "COMPLETED",
    "paypal-refund": "COMPLETED",
    "razorpay-payment": "captured",
    "razorpay-refund": "processed",
}


@pytest.mark.parametrize("what", _OUTCOMES)
def test_a_status_or_a_reason_in_a_webhook_is_reported_as_new(what: str):
    new, listed = _OUTCOMES[what](NEW).outcome, _OUTCOMES[what](_LISTED[what]).outcome

    assert new is not None
    assert listed is not None
    assert (new.unlisted, listed.unlisted) == (True, False)


_DISPUTES: Final[Mapping[str, Callable[[str | None], Notice]]] = {
    "stripe": lambda status: _stripe("charge.dispute.created", stripe.dispute(status or "needs_response")),
    "paypal": lambda status: paypal_notice(
        "CUSTOMER.DISPUTE.RESOLVED",
        paypal.dispute(dispute_outcome={"outcome_code": status or "RESOLVED_WITH_PAYOUT"}),
    ),
    "braintree": lambda status: _braintree(f"dispute_{status or 'opened'}"),
    "razorpay": lambda status: _razorpay(f"payment.dispute.{status or 'created'}", dispute=razorpay.DISPUTE),
}
"""A dispute's webhook with this status, outcome or kind. Adyen names a dispute's stages like its other
events, so that one which is not listed is none of those that are read."""


@pytest.mark.parametrize("psp", _DISPUTES)
def test_a_disputes_status_outcome_or_kind_is_reported_as_new_and_never_passed_over(psp: str):
    new, listed = _DISPUTES[psp](NEW), _DISPUTES[psp](None)

    assert new.unlisted is not None
    assert NEW in new.unlisted
    assert new.dispute is not None or new.alarm is not None
    assert listed.unlisted is None
    assert listed.dispute is not None
