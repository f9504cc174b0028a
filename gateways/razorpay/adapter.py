"""Razorpay: an order, a payment on it by a saved card's token, and our capture of what its bank has authorized.

Invariant: APPROVED only for the reference, amount and currency that were asked for, read from an answer that says all
three; money is taken by our capture alone, of a sale too, so that what is authorized late is refunded by Razorpay.
Orders, payments and captures have no idempotency key: each is sent once, and then only asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from commands.messages import Outcome
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
from gateways.razorpay import amounts, answers, orders, payments, refunds, requests, webhooks

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
    looks_up=True,
    key_life_s=_REFUND_KEY_LIFE_S,
    authorization_life_s=requests.UNCAPTURED_LIFE_MIN * 60,
    completed_by="us",
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
        "referer": "the shop's page, where the account has to",
    },
    required=frozenset({"key_id", "email", "contact"}),
    returned=("razorpay_payment_id", "razorpay_order_id", "razorpay_signature"),
)


@dataclass(frozen=True, slots=True)
class Razorpay:
    """`takes_twd`: the account's owner has checked that Razorpay takes TWD with two decimals."""

    takes_twd: bool = False

    @property
    def facts(self) -> Facts:
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        return _REFUND_KEY_LIFE_S if call.kind == "refund" else 0

    def moves_money(self, call: Call) -> bool:
        """An order does not."""
        return call.kind not in {"authorize", "sale"} or call.step != "1"

    def our_steps(self, call: Call) -> tuple[str, ...]:
        return ("2", "3") if call.kind == "sale" else ("2",)

    def absence_delay_s(self, call: Call) -> float | None:
        """All is read by its id or its receipt, which is consistent: only a call that is still being done is waited
        for."""
        return 60.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.kind not in FACTS.kinds:
            return _not_sent("void_not_available", "what is not captured is refunded by Razorpay in its time")
        if FACTS.required - credentials.options.keys():
            return _not_configured()
        if call.currency == "TWD" and not self.takes_twd:
            return _not_sent("currency_not_supported", "TWD is not switched on for this account")
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except amounts.NotExpressible as refused:
            return _not_sent(refused.code, refused.detail)
        if call.kind in {"authorize", "sale"}:
            return _take(call, wire, credentials)
        if (target := _target(call)) is None:
            return _not_sent("target_unknown", "Razorpay's id of the payment that it acts on is not known")
        if call.kind == "refund":
            return requests.refund(call, target, wire, credentials)
        if call.target_minor not in {None, call.amount_minor}:
            return _not_sent("partial_capture_not_available", "Razorpay captures all that was authorized")
        return requests.capture(call, target, wire, credentials)

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        body = answers.json_object(answer.body)
        if answer.status != 200:
            return answers.refused(call, body, answer)
        if call.kind == "refund":
            return refunds.answered(call, body, answer)
        if call.kind == "capture" or call.step == "3":
            return payments.captured(call, body, answer)
        return (
            orders.created(call, body, answer) if call.step == "1" else payments.created(call, body, answer)
        )

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if "key_id" not in credentials.options:
            return _not_configured()
        if call.kind in {"authorize", "sale"}:
            if answers.is_id(call.psp_id, "pay_"):
                return requests.get_payment(call.psp_id, credentials)
            if answers.is_id(call.psp_id, "order_"):
                return requests.list_payments(call.psp_id, credentials)
            return requests.find_order(call.reference, credentials)
        if call.kind == "refund" and answers.is_id(call.psp_id, "rfnd_"):
            return requests.get_refund(call.psp_id, credentials)
        if (target := _target(call)) is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        if call.kind == "refund":
            return requests.list_refunds(target, credentials)
        return requests.get_payment(target, credentials)

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        body = answers.json_object(answer.body)
        if answer.status != 200:
            return answers.not_found_out(body, answer)
        if call.kind == "refund":
            by_id = answers.is_id(call.psp_id, "rfnd_")
            return (refunds.looked_up if by_id else refunds.listed)(call, body, answer)
        if call.kind == "capture" or answers.is_id(call.psp_id, "pay_"):
            return payments.looked_up(call, body, answer)
        if answers.is_id(call.psp_id, "order_"):
            return payments.of_order(call, body, answer)
        return orders.found(call, body, answer)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Nothing is sent: Razorpay has no such call, and what its customer still authorizes it refunds itself."""
        return Outcome(kind="EXPIRED", code="only_our_capture_takes_money")

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        return answers.unknown(answer, "no_such_call")

    def certificate_url(self, hook: Hook, options: Mapping[str, str]) -> str | None:
        return None

    def read_hook(self, hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
        return webhooks.read(hook, keys)

    def hook_challenge(self, query: Mapping[str, str], keys: HookKeys) -> str | None:
        return None


def _take(call: Call, wire: int, credentials: Credentials) -> HttpRequest | Outcome:
    stored = call.stored_credential
    if stored is not None and stored.initiator == "merchant":
        text = "a payment without its customer is another product of Razorpay's"
        return _not_sent("merchant_initiated_not_available", text)
    match call.step:
        case "1":
            return requests.create_order(call, wire, credentials)
        case "2" if answers.is_id(call.psp_id, "order_"):
            return requests.pay(call, call.psp_id, wire, credentials)
        case "3" if call.kind == "sale" and answers.is_id(call.psp_id, "pay_"):
            return requests.capture(call, call.psp_id, wire, credentials)
        case step:
            return _not_sent("step_without_its_object", f"step {step} needs what the one before has created")


def _target(call: Call) -> str | None:
    known = call.target_reference is not None and answers.is_id(call.target_psp_id, "pay_")
    return call.target_psp_id if known else None


def _not_sent(code: str, detail: str) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail)


def _not_configured() -> Outcome:
    return Outcome(kind="NOT_SENT", code="account_not_configured", hint="CONFIG")
