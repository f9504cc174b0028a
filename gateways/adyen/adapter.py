"""Adyen: payments that are only ever authorised, captured by a step of our own, and modifications that end
by webhook.

Invariant: no response to a capture, cancel or refund ends it, and none to a payment approves what it does
not name. A sent call that Adyen does not plainly refuse is UNKNOWN: Adyen has no status API, so its
webhooks decide, or a cancel by our reference whose webhook comes back.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from commands.messages import Outcome
from commands.notices import Notice
from gateways.adyen import amounts, modifications, payments, requests, responses, webhooks
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
from gateways.wire.json import json_object
from gateways.wire.money import NotExpressible
from gateways.wire.outcomes import not_expressible

FACTS: Final = Facts(
    name="adyen",
    title="Adyen",
    documents=f"Checkout {requests.VERSION}",
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=True,
    multicapture=True,
    refunds_of="payment",
    disputes_show_as_refunds=False,
    looks_up=False,
    key_life_s=6 * 24 * 3600,  # kept at least 7 days
    # Adyen itself lets an authorisation go after 28 days, but card schemes vouch for a week: later
    # captures may fail.
    authorization_life_s=7 * 24 * 3600,
    final_call_by="us",
    challenge="redirect to Adyen's page; we complete with what it adds to the return address",
    idempotency="header Idempotency-Key, taken as kept 6 days; a stored final error is replayed for ever",
    lookup="a repeat, the webhooks, or a cancel by our reference whose result the webhook TECHNICAL_CANCEL reports",
    webhook="HMAC-SHA256 of eight fields of each item, no time; Basic authentication besides, where it is set",
    only_by_webhook="the end of every capture, void and refund, and so of every sale; disputes",
    payment_method="a storedPaymentMethodId",
    credential="the API key",
    signed_by="the webhook's HMAC key, hexadecimal",
    options={
        "merchant_account": "the merchant account's name at Adyen",
        "return_url": "where a payment without an address of its own sends its customer back to",
    },
    required=frozenset({"merchant_account"}),
    returned=("redirectResult",),
    logs_in=True,
)


@dataclass(frozen=True, slots=True)
class Adyen:
    """The adapter for Adyen's Checkout API v72 (docs.adyen.com/api-explorer/Checkout/72/overview)."""

    @property
    def facts(self) -> Facts:
        """Adyen's declaration."""
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """The life of an idempotency key, the same for every call
        (docs.adyen.com/development-resources/api-idempotency)."""
        return FACTS.key_life_s

    def moves_money(self, call: Call) -> bool:
        """True: the first two steps of a sale take no money, but hold it."""
        return True

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        """The call with the challenge's result and, for a sale, the capture."""
        return ("2", "3") if call.kind == "sale" else ("2",)

    def absence_delay_s(self, call: Call) -> float | None:
        """None: Adyen has no status API, so that absence is never proven."""
        return None

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The step's call: a payment, its details after a challenge, or a modification. NOT_SENT for what
        Adyen's fields cannot hold."""
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except NotExpressible as refused:
            if call.kind != "void":
                return not_expressible(refused.code, refused.detail)
            wire = 0  # a void has no amount
        if call.is_charge_attempt and call.step != "3":
            return _pay(call, wire, credentials)
        target = responses.psp_reference(call.psp_id if call.kind == "sale" else call.target_psp_id)
        if target is None:
            return _targetless(call)
        match call.kind:
            case "void":
                return requests.void(call, target, credentials)
            case "refund":
                return requests.refund(call, target, wire, credentials)
            case _:
                return requests.capture(call, target, wire, credentials)

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        """Reads the response of a payment (200) or of a modification (201), else Adyen's error. Source: the
        OpenAPI description of Checkout v72."""
        body = json_object(response.body)
        pays = call.is_charge_attempt and call.step != "3"
        if response.status == 200 and pays:
            return payments.read_response(call, body, response)
        if response.status == 201 and not pays:
            return modifications.read_response(call, body, response)
        return responses.refused(call, body, response)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """UNKNOWN: Adyen has no status API."""
        return Outcome(
            kind="UNKNOWN", code="no_lookup", detail="Adyen has no status API: its webhook decides"
        )

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        """UNKNOWN: no lookup is sent."""
        return responses.unknown(response, "no_lookup")

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """A technical cancel by our reference, which also ends a payment whose response never came
        (docs.adyen.com/online-payments/cancel)."""
        return requests.technical_cancel(call, credentials)

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        """UNKNOWN: only the webhook TECHNICAL_CANCEL reports whether the cancel ended anything."""
        return modifications.cancel_received(call, json_object(response.body), response)

    def read_webhook(
        self, webhook: Webhook, keys: WebhookKeys, now: datetime
    ) -> tuple[Notice, ...] | WebhookRefused:
        """Verifies each item of a standard webhook and reads it."""
        return webhooks.read(webhook, keys)


def _pay(call: Call, wire: int, credentials: Credentials) -> HttpRequest | Outcome:
    if call.step == "2":
        result = call.returned.get("redirectResult")
        if not result:
            return not_expressible("redirect_result_missing", "the customer came back without Adyen's result")
        return requests.details(call, result, credentials)
    if (code := requests.what_it_cannot_hold(call)) is not None:
        return not_expressible(code, "Adyen's interface has no place for it")
    if (back_to := requests.return_url(call, credentials)) is None:
        return not_expressible("return_url_missing", "Adyen takes no payment without an address to return to")
    return requests.pay(call, wire, back_to, credentials)


def _targetless(call: Call) -> Outcome:
    if call.kind == "sale":
        # Its authorisation may hold the money, so that this is no end.
        return Outcome(kind="UNKNOWN", code="psp_id_unknown", repeat_is_useless=True)
    return not_expressible("target_unknown", "Adyen's id of the payment that it acts on is not known")
