"""Stripe: payment intents, created and confirmed in one call, and refunds.

Invariant: APPROVED only for the reference, amount and currency that were asked for, read from an answer that says all
three; DECLINED only where Stripe calls it one. A sent call with any other answer is UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

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
from gateways.stripe import amounts, answers, intents, refunds, requests, targets, webhooks


class _Reads(Protocol):
    """What each kind of object has a module for."""

    def answered(self, call: Call, body: Mapping[str, Any], answer: HttpAnswer, /) -> Outcome: ...

    def refusal(self, call: Call, error: Mapping[str, Any], answer: HttpAnswer, /) -> Outcome | None: ...

    def looked_up(self, call: Call, body: Mapping[str, Any], answer: HttpAnswer, /) -> Outcome | None: ...


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
    looks_up=True,
    key_life_s=23 * 3600,  # Stripe may forget a key after 24 h
    authorization_life_s=7 * 24 * 3600,  # uncaptured intents are cancelled after 7 days
    completed_by="psp",
    challenge="redirect to the bank; the intent goes on by itself",
    idempotency="header Idempotency-Key, taken as kept 23 h; a stored 500 is replayed for ever",
    lookup="payment_intents/{id}, search on metadata.order_ref; refunds of an intent. Absent is proof after an hour",
    webhook="Stripe-Signature, HMAC-SHA256, 300 s",
    only_by_webhook="disputes",
    payment_method="a PaymentMethod, pm_…",
    credential="the secret key, sk_… or rk_…",
    signed_by="the endpoint's signing secret, whsec_…",
)


@dataclass(frozen=True, slots=True)
class Stripe:
    """`takes_ugx`: the account's owner has checked that Stripe takes UGX with two decimals; its pages disagree."""

    takes_ugx: bool = False

    @property
    def facts(self) -> Facts:
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        return FACTS.key_life_s

    def moves_money(self, call: Call) -> bool:
        return True

    def our_steps(self, call: Call) -> tuple[str, ...]:
        return ()

    def absence_delay_s(self, call: Call) -> float | None:
        """Search lags by less than a minute, in outages by up to an hour. What is read by its id shows all that was
        done, but not what is still being done; no call is known to take so long."""
        return 3600.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.currency == "UGX" and not self.takes_ugx:
            return _not_sent("currency_not_supported", "UGX is not switched on for this account")
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except amounts.NotExpressible as refused:
            return _not_sent(refused.code, refused.detail)
        if call.kind in {"authorize", "sale"}:
            if call.statement_text is not None and not requests.may_stand_on_a_statement(call.statement_text):
                text = "at most 22 of the letters, digits and signs that Stripe takes, one letter among them"
                return _not_sent("statement_text_not_expressible", text)
            return requests.pay(call, wire, credentials)
        if (target := _target(call)) is None:
            return _not_sent("target_unknown", "Stripe's id of the payment that it acts on is not known")
        match call.kind:
            case "capture":
                return requests.capture(call, target, wire, credentials)
            case "void":
                return requests.end(call, target, "requested_by_customer", credentials)
            case _:
                return requests.refund(call, target, wire, credentials)

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        body, reads = answers.json_object(answer.body), _READS[call.kind]
        if answer.status == 200:
            return reads.answered(call, body, answer)
        return answers.refused(call, body, answer, reads.refusal)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.kind in {"authorize", "sale"}:
            if call.psp_id is not None and answers.is_id(call.psp_id, "pi_"):
                return requests.get_intent(call.psp_id, credentials)
            return requests.search_intents(call.reference, credentials)
        if call.kind == "refund" and call.psp_id is not None and answers.is_id(call.psp_id, "re_"):
            return requests.get_refund(call.psp_id, credentials)
        if (target := _target(call)) is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        if call.kind == "refund":
            return requests.list_refunds(target, credentials)
        return requests.get_intent(target, credentials)

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        body = answers.json_object(answer.body)
        if answer.status != 200:
            return answers.not_found_out(call, body, answer)
        return _READS[call.kind].looked_up(call, body, answer)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.psp_id is None or not answers.is_id(call.psp_id, "pi_"):
            return Outcome(kind="UNKNOWN", code="psp_id_unknown", detail="Stripe is not told what to cancel")
        return requests.end(call, call.psp_id, "abandoned", credentials)

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        return intents.cancelled(call, answers.json_object(answer.body), answer)

    def certificate_url(self, hook: Hook, options: Mapping[str, str]) -> str | None:
        return None

    def read_hook(self, hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
        return webhooks.read(hook, keys, now)

    def hook_challenge(self, query: Mapping[str, str], keys: HookKeys) -> str | None:
        return None


def _target(call: Call) -> str | None:
    known = call.target_reference is not None and answers.is_id(call.target_psp_id, "pi_")
    return call.target_psp_id if known else None


def _not_sent(code: str, detail: str) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail)
