"""Razorpay: an order, a payment on it by a saved card's token, and our capture of what its bank has
authorized.

Invariant: APPROVED only for the reference, amount and currency that were requested, read from a response
that states all three; money is taken by our capture alone, of a sale too, so that what is authorized late
is refunded by Razorpay. Orders, payments and captures have no idempotency key: each is sent once, and then
only queried.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import (
    Call,
    Credentials,
    Facts,
    HttpRequest,
    HttpResponse,
    Webhook,
    WebhookKeys,
    WebhookRefused,
)
from gateways.razorpay import amounts, orders, payments, refunds, requests, responses, webhooks
from gateways.wire.json import json_object
from gateways.wire.money import NotExpressible
from gateways.wire.outcomes import not_expressible

_REFUND_KEY_LIFE_S: Final = 24 * 3600

FACTS: Final = Facts(
    name="razorpay",
    title="Razorpay",
    documents="v1, 2026-04",
    kinds=frozenset({"authorize", "sale", "capture", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=False,
    multicapture=False,
    refunds_of="payment",
    disputes_show_as_refunds=False,
    looks_up=True,
    key_life_s=_REFUND_KEY_LIFE_S,
    authorization_life_s=requests.UNCAPTURED_LIFE_MIN * 60,
    final_call_by="us",
    challenge="redirect to the bank, which authorizes by itself; a form is posted to our return page; we capture",
    idempotency="refunds only: header X-Refund-Idempotency, taken as kept 24 h; all else is sent once",
    lookup="orders?receipt=…, orders/{id}/payments, payments/{id}, and its refunds. Absent is proof after a minute",
    webhook="X-Razorpay-Signature, HMAC-SHA256 of the raw body, no tolerance",
    only_by_webhook="disputes",
    payment_method="a saved card's token",
    credential="the API key's secret",
    signed_by="the webhook's secret, which is not the API key's",
    options={
        "key_id": "the API key's id, rzp_live_… or rzp_test_…",
        "email": "the merchant's, sent as the customer's: a payment has to name one",
        "contact": "the merchant's telephone number, sent as the customer's",
        "ip": "an address sent as the customer's, where the account has to",
        "user_agent": "sent as the customer's browser, where the account has to",
        "referer": "the merchant's page, where the account has to",
        "takes_twd": "`true` where it was checked that Razorpay takes TWD with two decimals",
    },
    required=frozenset({"key_id", "email", "contact"}),
    switched={"TWD": "takes_twd"},
)


@dataclass(frozen=True, slots=True)
class Razorpay:
    """The adapter for Razorpay's API v1 (razorpay.com/docs/api)."""

    @property
    def facts(self) -> Facts:
        """Razorpay's declaration."""
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """A day for a refund; 0 for all else, which has no key (razorpay.com/docs/api/refunds,
        X-Refund-Idempotency)."""
        return _REFUND_KEY_LIFE_S if call.kind == "refund" else 0

    def moves_money(self, call: Call) -> bool:
        """Returns False for the creation of an order, and True for every other call."""
        return not call.is_charge_attempt or call.step != "1"

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        """The payment on the order and, for a sale, its capture."""
        return ("2", "3") if call.kind == "sale" else ("2",)

    def absence_delay_s(self, call: Call) -> float | None:
        """A minute. All is read by its id or its receipt, which is consistent: only a call that is still
        being done is waited for."""
        return 60.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The step's call: an order, a payment on it, a capture or a refund. NOT_SENT for what Razorpay has
        no call for."""
        if call.kind not in FACTS.kinds:
            return not_expressible(
                "void_not_available", "what is not captured is refunded by Razorpay in its time"
            )
        if FACTS.required - credentials.options.keys():
            return _not_configured()
        if (option := FACTS.off(call.currency, credentials.options)) is not None:
            return not_expressible("currency_not_supported", f"{call.currency} needs the option {option}")
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except NotExpressible as refused:
            return not_expressible(refused.code, refused.detail)
        if call.is_charge_attempt:
            return _take(call, wire, credentials)
        if (target := _target(call)) is None:
            return not_expressible(
                "target_unknown", "Razorpay's id of the payment that it acts on is not known"
            )
        if call.kind == "refund":
            return requests.refund(call, target, wire, credentials)
        if call.target_minor not in {None, call.amount_minor}:
            return not_expressible(
                "partial_capture_not_available", "Razorpay captures all that was authorized"
            )
        return requests.capture(call, target, wire, credentials)

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        """Reads the entity in a response with status 200, else Razorpay's error
        (razorpay.com/docs/errors)."""
        body = json_object(response.body)
        if response.status != 200:
            return responses.refused(call, body, response)
        if call.kind == "refund":
            return refunds.read_response(call, body, response)
        if call.kind == "capture" or call.step == "3":
            return payments.captured(call, body, response)
        return (
            orders.created(call, body, response)
            if call.step == "1"
            else payments.created(call, body, response)
        )

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Reads the payment or the refund by its id; else lists what the order or the payment has, or finds
        the order by our reference."""
        if "key_id" not in credentials.options:
            return _not_configured()
        if call.is_charge_attempt:
            if responses.is_id(call.psp_id, "pay_"):
                return requests.get_payment(call.psp_id, credentials)
            if responses.is_id(call.psp_id, "order_"):
                return requests.list_payments(call.psp_id, credentials)
            return requests.find_order(call.reference, credentials)
        if call.kind == "refund" and responses.is_id(call.psp_id, "rfnd_"):
            return requests.get_refund(call.psp_id, credentials)
        if (target := _target(call)) is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        if call.kind == "refund":
            return requests.list_refunds(target, credentials)
        return requests.get_payment(target, credentials)

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        """Reads what the lookup found. None: the step was not executed."""
        body = json_object(response.body)
        if response.status != 200:
            return responses.not_found_out(body, response)
        if call.kind == "refund":
            by_id = responses.is_id(call.psp_id, "rfnd_")
            return (refunds.looked_up if by_id else refunds.listed)(call, body, response)
        if call.kind == "capture" or responses.is_id(call.psp_id, "pay_"):
            return payments.looked_up(call, body, response)
        if responses.is_id(call.psp_id, "order_"):
            return payments.of_order(call, body, response)
        return orders.found(call, body, response)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """EXPIRED: Razorpay has no such call, and refunds by itself what its customer still authorizes."""
        return Outcome(kind="EXPIRED", code="only_our_capture_takes_money")

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        """UNKNOWN: no cancel is sent."""
        return responses.unknown(response, "no_such_call")

    def read_webhook(
        self, webhook: Webhook, keys: WebhookKeys, now: datetime
    ) -> tuple[Notice, ...] | WebhookRefused:
        """Verifies one event and reads it."""
        return webhooks.read(webhook, keys)


def _take(call: Call, wire: int, credentials: Credentials) -> HttpRequest | Outcome:
    stored = call.stored_credential
    if stored is not None and stored.initiator == "merchant":
        text = "a payment without its customer is another product of Razorpay's"
        return not_expressible("merchant_initiated_not_available", text)
    match call.step:
        case "1":
            return requests.create_order(call, wire, credentials)
        case "2" if responses.is_id(call.psp_id, "order_"):
            return requests.pay(call, call.psp_id, wire, credentials)
        case "3" if call.kind == "sale" and responses.is_id(call.psp_id, "pay_"):
            return requests.capture(call, call.psp_id, wire, credentials)
        case step:
            return not_expressible(
                "step_without_its_object", f"step {step} needs what the one before has created"
            )


def _target(call: Call) -> str | None:
    known = call.target_reference is not None and responses.is_id(call.target_psp_id, "pay_")
    return call.target_psp_id if known else None


def _not_configured() -> Outcome:
    return Outcome(kind="NOT_SENT", code="account_not_configured", hint="CONFIG")
