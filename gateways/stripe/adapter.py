"""Stripe: payment intents, created and confirmed in one call, and refunds.

Invariant: APPROVED only for the reference, amount and currency that were requested, read from a response
that states all three; DECLINED only where Stripe calls it one. A sent call with any other response is
UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

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
from gateways.stripe import amounts, intents, refunds, requests, responses, targets, webhooks
from gateways.wire.json import json_object
from gateways.wire.money import NotExpressible
from gateways.wire.outcomes import not_expressible


class _Reads(Protocol):
    """The functions that the module of each kind of object has."""

    def read_response(self, call: Call, body: Mapping[str, Any], response: HttpResponse, /) -> Outcome: ...

    def refusal(self, call: Call, error: Mapping[str, Any], response: HttpResponse, /) -> Outcome | None: ...

    def looked_up(self, call: Call, body: Mapping[str, Any], response: HttpResponse, /) -> Outcome | None: ...


_READS: Final[Mapping[str, _Reads]] = {
    "authorize": intents,
    "sale": intents,
    "capture": targets,
    "void": targets,
    "refund": refunds,
}


FACTS: Final = Facts(
    name="stripe",
    title="Stripe",
    documents=requests.VERSION,
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=True,
    multicapture=True,
    refunds_of="payment",
    disputes_show_as_refunds=False,
    looks_up=True,
    key_life_s=23 * 3600,  # Stripe may forget a key after 24 h
    authorization_life_s=7 * 24 * 3600,  # uncaptured intents are cancelled after 7 days
    final_call_by="psp",
    challenge="redirect to the bank; the intent goes on by itself",
    idempotency="header Idempotency-Key, taken as kept 23 h; a stored 500 is replayed for ever",
    lookup="payment_intents/{id}, search on metadata.order_ref; refunds of an intent. Absent is proof after an hour",
    webhook="Stripe-Signature, HMAC-SHA256, 300 s",
    only_by_webhook="disputes",
    payment_method="a PaymentMethod, pm_…",
    credential="the secret key, sk_… or rk_…",
    signed_by="the endpoint's signing secret, whsec_…",
    options={
        "takes_ugx": "`true` where it was checked that Stripe takes UGX with two decimals, which have to be 00: it stands "
        "among its special cases, and among the currencies without decimals",
    },
    switched={"UGX": "takes_ugx"},
)


@dataclass(frozen=True, slots=True)
class Stripe:
    """The adapter for Stripe's API, version 2026-08-26.dahlia (docs.stripe.com/api)."""

    @property
    def facts(self) -> Facts:
        """Stripe's declaration."""
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """The life of an idempotency key, the same for every call
        (docs.stripe.com/api/idempotent_requests)."""
        return FACTS.key_life_s

    def moves_money(self, call: Call) -> bool:
        """True: each call confirms, captures, releases or refunds at once."""
        return True

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        """None: once confirmed, an intent goes on by itself after a challenge
        (docs.stripe.com/payments/paymentintents/lifecycle)."""
        return ()

    def absence_delay_s(self, call: Call) -> float | None:
        """An hour. Search lags by less than a minute, in outages by up to an hour (docs.stripe.com/search).
        An object that is read by its id shows all that was done, but not what is still being done; no call
        is known to take so long."""
        return 3600.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The one call of the operation; NOT_SENT for an amount, a statement text or a target that Stripe
        cannot be given."""
        if (option := FACTS.off(call.currency, credentials.options)) is not None:
            return not_expressible("currency_not_supported", f"{call.currency} needs the option {option}")
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except NotExpressible as refused:
            return not_expressible(refused.code, refused.detail)
        if call.is_charge_attempt:
            if call.statement_text is not None and not requests.may_stand_on_a_statement(call.statement_text):
                text = "at most 22 of the letters, digits and signs that Stripe takes, one letter among them"
                return not_expressible("statement_text_not_expressible", text)
            return requests.pay(call, wire, credentials)
        if (target := _target(call)) is None:
            return not_expressible(
                "target_unknown", "Stripe's id of the payment that it acts on is not known"
            )
        match call.kind:
            case "capture":
                return requests.capture(call, target, wire, credentials)
            case "void":
                return requests.end(call, target, "requested_by_customer", credentials)
            case _:
                return requests.refund(call, target, wire, credentials)

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        """Reads the object in a response with status 200, else Stripe's error
        (docs.stripe.com/api/errors)."""
        body, reads = json_object(response.body), _READS[call.kind]
        if response.status == 200:
            return reads.read_response(call, body, response)
        return responses.refused(call, body, response, reads.refusal)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Reads the intent or the refund by its id; else searches intents by our reference, or lists the
        target's refunds."""
        if call.is_charge_attempt:
            if call.psp_id is not None and responses.is_id(call.psp_id, "pi_"):
                return requests.get_intent(call.psp_id, credentials)
            return requests.search_intents(call.reference, credentials)
        if call.kind == "refund" and call.psp_id is not None and responses.is_id(call.psp_id, "re_"):
            return requests.get_refund(call.psp_id, credentials)
        if (target := _target(call)) is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        if call.kind == "refund":
            return requests.list_refunds(target, credentials)
        return requests.get_intent(target, credentials)

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        """Reads what the lookup found. None also for an intent that was never confirmed."""
        body = json_object(response.body)
        if response.status != 200:
            return responses.not_found_out(call, body, response)
        return _READS[call.kind].looked_up(call, body, response)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Cancels the intent; UNKNOWN without its id, since Stripe cancels by id only
        (docs.stripe.com/api/payment_intents/cancel)."""
        if call.psp_id is None or not responses.is_id(call.psp_id, "pi_"):
            return Outcome(kind="UNKNOWN", code="psp_id_unknown", detail="Stripe cancels by its own id only")
        return requests.end(call, call.psp_id, "abandoned", credentials)

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        """Reads the intent, which Stripe's refusal shows, too."""
        return intents.cancelled(call, json_object(response.body), response)

    def read_webhook(
        self, webhook: Webhook, keys: WebhookKeys, now: datetime
    ) -> tuple[Notice, ...] | WebhookRefused:
        """Verifies `Stripe-Signature` and reads one event."""
        return webhooks.read(webhook, keys, now)


def _target(call: Call) -> str | None:
    known = call.target_reference is not None and responses.is_id(call.target_psp_id, "pi_")
    return call.target_psp_id if known else None
