"""Adyen: payments that are only ever authorised, captured by a step of our own, and modifications that end by webhook.

Invariant: no answer to a capture, cancel or refund ends it, and none to a payment approves what it does not name. A
sent call that Adyen does not plainly refuse is UNKNOWN: Adyen cannot be asked, so its webhooks decide, or a cancel by
our reference whose webhook comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from commands.messages import Outcome
from gateways.adyen import amounts, answers, modifications, payments, requests, webhooks
from gateways.contract import (
    Call,
    Credentials,
    Facts,
    Hook,
    HookKeys,
    HookRefused,
    HttpAnswer,
    HttpRequest,
    Notice,
)

_TAKING: Final = frozenset({"authorize", "sale"})

FACTS: Final = Facts(
    name="adyen",
    title="Adyen",
    documents=f"Checkout {requests.VERSION}",
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=True,
    multicapture=True,
    refunds_of="payment",
    looks_up=False,
    key_life_s=6 * 24 * 3600,  # kept at least 7 days
    # Adyen itself lets an authorisation go after 28 days, but card schemes vouch for a week: later captures may fail.
    authorization_life_s=7 * 24 * 3600,
    completed_by="us",
    challenge="redirect to Adyen's page; we complete with what it adds to the return address",
    idempotency="header Idempotency-Key, taken as kept 6 days; a stored final error is replayed for ever",
    lookup="a repeat, the webhooks, or a cancel by our reference that the webhook TECHNICAL_CANCEL answers",
    webhook="HMAC-SHA256 of eight fields of each item, no time",
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
)


@dataclass(frozen=True, slots=True)
class Adyen:
    @property
    def facts(self) -> Facts:
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        return FACTS.key_life_s

    def moves_money(self, call: Call) -> bool:
        """A sale's first two steps take none, but hold it."""
        return True

    def our_steps(self, call: Call) -> tuple[str, ...]:
        return ("2", "3") if call.kind == "sale" else ("2",)

    def absence_delay_s(self, call: Call) -> float | None:
        return None

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except amounts.NotExpressible as refused:
            if call.kind != "void":
                return _not_sent(refused.code, refused.detail)
            wire = 0  # a void says no amount
        if call.kind in _TAKING and call.step != "3":
            return _pay(call, wire, credentials)
        target = answers.psp_reference(call.psp_id if call.kind == "sale" else call.target_psp_id)
        if target is None:
            return _targetless(call)
        match call.kind:
            case "void":
                return requests.void(call, target, credentials)
            case "refund":
                return requests.refund(call, target, wire, credentials)
            case _:
                return requests.capture(call, target, wire, credentials)

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        body = answers.json_object(answer.body)
        pays = call.kind in _TAKING and call.step != "3"
        if answer.status == 200 and pays:
            return payments.answered(call, body, answer)
        if answer.status == 201 and not pays:
            return modifications.answered(call, body, answer)
        return answers.refused(call, body, answer)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        return Outcome(kind="UNKNOWN", code="no_lookup", detail="Adyen cannot be asked: its webhook tells")

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        return answers.unknown(answer, "no_lookup")

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        return requests.technical_cancel(call, credentials)

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        return modifications.cancel_received(call, answers.json_object(answer.body), answer)

    def certificate_url(self, hook: Hook, options: Mapping[str, str]) -> str | None:
        return None

    def read_hook(self, hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
        return webhooks.read(hook, keys)

    def hook_challenge(self, query: Mapping[str, str], keys: HookKeys) -> str | None:
        return None


def _pay(call: Call, wire: int, credentials: Credentials) -> HttpRequest | Outcome:
    if call.step == "2":
        result = call.returned.get("redirectResult")
        if not result:
            return _not_sent("redirect_result_missing", "the customer came back without Adyen's result")
        return requests.details(call, result, credentials)
    if (code := requests.not_expressible(call)) is not None:
        return _not_sent(code, "Adyen's interface has no place for it")
    if (back_to := requests.return_url(call, credentials)) is None:
        return _not_sent("return_url_missing", "Adyen takes no payment without an address to return to")
    return requests.pay(call, wire, back_to, credentials)


def _targetless(call: Call) -> Outcome:
    if call.kind == "sale":
        # Its authorisation may hold the money, so that this is no end.
        return Outcome(kind="UNKNOWN", code="psp_id_unknown", repeat_is_useless=True)
    return _not_sent("target_unknown", "Adyen's id of the payment that it acts on is not known")


def _not_sent(code: str, detail: str) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail)
