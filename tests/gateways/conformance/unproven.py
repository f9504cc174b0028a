"""The responses after which the customer may have been charged, as docs/routing.md lists them, and what the
PSP shows later of each, by its own adapter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from commands.messages import Outcome
from gateways.contract import Call, Gateway, HttpResponse
from tests.gateways.adyen import payloads as adyen_payloads
from tests.gateways.braintree import payloads as braintree_payloads
from tests.gateways.braintree import reading as braintree
from tests.gateways.conformance import adyen, stripe
from tests.gateways.conformance.book import Respond
from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.cases import Without
from tests.gateways.conformance.webhooks import NOW
from tests.gateways.paypal import payloads as paypal_payloads
from tests.gateways.paypal.reading import PAYPAL
from tests.gateways.stripe import payloads as stripe_payloads

Shown = tuple[Literal["call", "query", "webhook"], Outcome]
"""Where AegisPay learns it from, and what it reads there."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """A call and the PSP's response to it; None: no response comes. `charged`, `not_charged`: what proves it,
    one after the other. `before`: the outcome of the step ahead of the call. `hint`: what proves nothing yet,
    though it reads like a decline."""

    name: str
    call: Call
    response: HttpResponse | None
    charged: Sequence[Shown]
    not_charged: Sequence[Shown]
    before: Outcome | None = None
    hint: Outcome | None = None

    @property
    def gateway(self) -> Gateway:
        return CASEBOOKS[self.name.partition(" ")[0]].gateway


def _found(gateway: Gateway, call: Call, response: HttpResponse) -> list[Shown]:
    """A lookup that finds nothing is what the agent proves absence by."""
    return [("query", gateway.found(call, response) or Outcome(kind="PROVEN_ABSENT", code="not_found"))]


# Stripe

_STRIPE: Final = stripe.BOOK.gateway
_SALE: Final = stripe.BOOK.first("sale")
_KNOWN: Final = replace(_SALE, psp_id=stripe.psp_id(_SALE.reference))
_TOOK: Final = stripe.http_response(200, stripe.approved(_SALE))


def _left_open(code: str) -> Unproven:
    error = {"type": "card_error", "code": code, "message": "The payment method failed due to a timeout."}
    shown = stripe.intent(_SALE, "requires_payment_method", last_payment_error=error)
    return Unproven(
        f"stripe {code}",
        _SALE,
        stripe.http_response(402, {"error": error | {"payment_intent": shown}}),
        charged=_found(_STRIPE, _KNOWN, _TOOK),
        not_charged=_found(_STRIPE, _KNOWN, stripe.http_response(200, shown)),
        hint=Outcome(kind="DECLINED_SOFT", code=code),
    )


def _repeated(name: str, response: HttpResponse | None) -> Unproven:
    """The same call with the same key gets the response of the call that was executed."""
    declined = stripe.declined("insufficient_funds")(_SALE)
    return Unproven(
        f"stripe {name}",
        _SALE,
        response,
        charged=[("call", _STRIPE.outcome(_SALE, _TOOK))],
        not_charged=[("call", _STRIPE.outcome(_SALE, declined))],
    )


def _broken(name: str, response: HttpResponse) -> Unproven:
    """A repeat gets the stored response for ever, so that a search has to find it."""
    found = stripe_payloads.search(stripe.approved(_SALE))
    return Unproven(
        f"stripe {name}",
        _SALE,
        response,
        charged=_found(_STRIPE, _SALE, stripe.http_response(200, found)),
        not_charged=_found(_STRIPE, _SALE, stripe.http_response(200, stripe_payloads.search())),
    )


_AT_STRIPE: Final = (
    _repeated("no response", None),
    _broken("HTTP 500", stripe.error(500, "api_error")),
    _repeated("lock_timeout, HTTP 409", stripe.error(409, code="lock_timeout")),
    _repeated("lock_timeout, HTTP 429", stripe.error(429, code="lock_timeout")),
    _left_open("payment_method_provider_timeout"),
    _left_open("payment_method_not_available"),
)


# Adyen: it has no status queries, so that its webhooks decide.

_ADYEN: Final = adyen.BOOK.gateway
_PAYS: Final = adyen.BOOK.first("sale")


def _webhook(event: str, **item: Any) -> Shown:
    webhooks = adyen.BOOK.webhooks
    assert not isinstance(webhooks, Without)
    signed = adyen_payloads.webhook(adyen_payloads.item(event, _PAYS.reference, **item))
    read = _ADYEN.read_webhook(signed, webhooks.keys, NOW)
    assert isinstance(read, tuple)
    assert read[0].outcome is not None
    return "webhook", read[0].outcome


def _at_adyen(name: str, respond: Respond | None) -> Unproven:
    return Unproven(
        f"adyen {name}",
        _PAYS,
        None if respond is None else respond(_PAYS),
        charged=[_webhook("AUTHORISATION"), _webhook("CAPTURE")],
        not_charged=[_webhook("AUTHORISATION", success=False, reason="Acquirer Error")],
    )


def _refused(result: str) -> Respond:
    return adyen.paid(result, refusalReasonCode="4", refusalReason="Acquirer Error")


_AT_ADYEN: Final = (
    _at_adyen("no response", None),
    _at_adyen("903, HTTP 500", adyen.error(500, "903", "Internal error")),
    _at_adyen("903, HTTP 422", adyen.error(422, "903", "Internal error")),
    _at_adyen("903, transient", adyen.error(500, "903", "Internal error", transient_error="true")),
    _at_adyen("Refused, 4", _refused("Refused")),
    _at_adyen("Cancelled, 4", _refused("Cancelled")),
    _at_adyen("Error, 4", _refused("Error")),
)


# PayPal and Braintree: a charge that failed on its way

_SOLD: Final = paypal_payloads.http_response(200, paypal_payloads.sold())
_FAILED: Final = paypal_payloads.http_response(200, paypal_payloads.sold(status="FAILED"))
_ORDERED: Final = Outcome(
    kind="PENDING", code="ready_to_take", psp_id=paypal_payloads.ORDER, next_step=paypal_payloads.SALE.step
)
_CAPTURED: Final = replace(paypal_payloads.SALE, psp_id=paypal_payloads.CAPTURED)
_AT_PAYPAL: Final = Unproven(
    "paypal FAILED",
    paypal_payloads.SALE,
    replace(_FAILED, status=201),
    charged=_found(PAYPAL, _CAPTURED, _SOLD),
    not_charged=_found(PAYPAL, _CAPTURED, _FAILED),
    before=_ORDERED,
)


def _read(status: str) -> list[Shown]:
    shown = braintree_payloads.by_id(braintree_payloads.transaction(status))
    return _found(braintree.BRAINTREE, braintree.KNOWN, braintree_payloads.http_response(shown))


_AT_BRAINTREE: Final = Unproven(
    "braintree FAILED",
    braintree_payloads.CALL,
    braintree_payloads.http_response(braintree_payloads.charged(braintree_payloads.transaction("FAILED"))),
    charged=_read("SETTLED"),
    not_charged=_read("FAILED"),
)

UNPROVEN: Final = (*_AT_STRIPE, *_AT_ADYEN, _AT_PAYPAL, _AT_BRAINTREE)
