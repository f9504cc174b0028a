"""Braintree by GraphQL: charges, authorizations, captures, reversals and refunds, each of them one mutation.

Invariant: APPROVED only for the reference, amount and currency that were asked for, read from an answer that says all
three; DECLINED only where Braintree calls it one. A sent call with any other answer is UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from commands.messages import Outcome
from gateways.braintree import amounts, answers, refunds, requests, targets, transactions, webhooks
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


class _Reads(Protocol):
    def answered(
        self, call: Call, payload: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any], /
    ) -> Outcome: ...

    def looked_up(
        self, call: Call, node: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any], /
    ) -> Outcome | None: ...


_READS: Final[Mapping[str, _Reads]] = {
    "authorize": transactions,
    "sale": transactions,
    "capture": targets,
    "void": targets,
    "refund": refunds,
}
_DAY_S: Final = 24 * 3600

FACTS: Final = Facts(
    name="braintree",
    title="Braintree",
    documents=f"GraphQL, Braintree-Version {requests.VERSION}",
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=True,
    multicapture=False,  # of PayPal and Venmo only
    refunds_of="payment",
    looks_up=True,
    key_life_s=29 * _DAY_S,  # a key is kept 30 days
    authorization_life_s=7 * _DAY_S,  # the shortest of the card networks'
    completed_by="psp",
    challenge="none: 3-D Secure is done in the shop's page by Braintree's script, before the token is sent; a payment "
    "that demands it here is not sent",
    idempotency="input field apiRequestKey, taken as kept 29 days, where the account has it; none for a reversal. Else "
    "duplicates are refused for 30 s",
    lookup="node by id; search.transactions by orderId, where absent is never proof; what acts on a transaction is "
    "read from it, where absent is proof after an hour",
    webhook="bt_signature, HMAC-SHA1 of bt_payload; no age",
    only_by_webhook="disputes",
    payment_method="a nonce, or the id of a vaulted payment method",
    credential="the private key",
    signed_by="the private key",
    options={
        "public_key": "the public key that belongs to the private key",
        "merchant_accounts": "the merchant account of each currency: USD=acct_usd,EUR=acct_eur",
        "api_request_key": "true where Braintree has switched on apiRequestKey",
        "statement_name": "the company's name on statements, of 3, 7 or 12 signs; the statement text follows it",
    },
    required=frozenset({"public_key", "merchant_accounts"}),
)


@dataclass(frozen=True, slots=True)
class Braintree:
    @property
    def facts(self) -> Facts:
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        return FACTS.key_life_s if requests.has_key(call, credentials) else 0

    def moves_money(self, call: Call) -> bool:
        return True

    def our_steps(self, call: Call) -> tuple[str, ...]:
        return ()

    def absence_delay_s(self, call: Call) -> float | None:
        """A search may lag by nobody knows how much. What is read by its id shows all that was done, but not what is
        still being done; no call is known to take an hour."""
        return None if call.kind in {"authorize", "sale"} else 3600.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except amounts.NotExpressible as refused:
            return _not_sent(refused.code, refused.detail)
        if call.kind in {"authorize", "sale"}:
            return _pay(call, wire, credentials)
        if (target := _target(call)) is None:
            return _not_sent("target_unknown", "Braintree's id of the payment that it acts on is not known")
        if call.kind == "capture":
            return requests.capture(call, target, wire, credentials)
        if call.kind == "void" and call.target_minor not in {None, call.amount_minor}:
            # A reversal would give back what was captured.
            return _not_sent("captured", "a capture has already released the rest")
        if requests.reverses(call):
            return requests.reverse(call, target, credentials)
        return requests.refund(call, target, wire, credentials)

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        body = answers.json_object(answer.body)
        payload = answers.fields(body.get("data")).get(requests.root(call))
        if answers.errors(body):
            if payload is not None:
                return answers.unknown(answer, body, "errors_beside_data", repeat_is_useless=True)
            return answers.refused(call, body, answer)
        if answer.status != 200 or not isinstance(payload, dict):
            return answers.unreadable(answer, body)
        return _READS[call.kind].answered(call, payload, answer, body)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.kind in {"authorize", "sale"}:
            if answers.is_id(call.psp_id):
                return requests.by_id(call.psp_id, credentials)
            return requests.by_order_id(call.reference, credentials)
        if call.kind == "refund" and answers.is_id(call.psp_id):
            return requests.by_id(call.psp_id, credentials)
        if (target := _target(call)) is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        return requests.by_id(target, credentials)

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        body = answers.json_object(answer.body)
        data = answers.fields(body.get("data"))
        if answers.errors(body):
            hint = "CONFIG" if answers.is_config(body) else answers.hint_of_status(answer.status)
            return answers.unknown(answer, body, "look_up_refused", hint=hint)
        if answer.status != 200:
            return answers.unreadable(answer, body)
        if call.kind in {"authorize", "sale"} and not answers.is_id(call.psp_id):
            return transactions.of_search(call, answers.fields(data.get("search")), answer, body)
        if "node" in data and data["node"] is None:
            return answers.unknown(answer, body, "psp_id_not_found")
        node = answers.fields(data.get("node"))
        wanted = "Refund" if call.kind == "refund" and answers.is_id(call.psp_id) else "Transaction"
        if node.get("__typename") != wanted:
            return answers.unreadable(answer, body)
        return _READS[call.kind].looked_up(call, node, answer, body)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        return Outcome(kind="UNKNOWN", code="nothing_waits", detail="Braintree has no open challenge to end")

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        return answers.unknown(answer, answers.json_object(answer.body), "nothing_waits")

    def certificate_url(self, hook: Hook, options: Mapping[str, str]) -> str | None:
        return None

    def read_hook(self, hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
        return webhooks.read(hook, keys)

    def hook_challenge(self, query: Mapping[str, str], keys: HookKeys) -> str | None:
        return webhooks.challenge(query, keys)


def _pay(call: Call, wire: str, credentials: Credentials) -> HttpRequest | Outcome:
    if call.three_ds:
        detail = "3-D Secure is done in the shop's page, before there is a token"
        return Outcome(kind="NOT_SENT", code="three_ds_in_the_shop", detail=detail, hint="REFRESH_TOKEN")
    account = requests.merchant_account(call.currency, credentials)
    if account is None:
        return _not_sent("currency_not_supported", f"no merchant account is set for {call.currency}")
    statement = None
    if call.statement_text is not None:
        statement = requests.descriptor(call.statement_text, credentials)
        if statement is None:
            text = "a company's name of 3, 7 or 12 signs, a star, and up to 18, 14 or 9 signs"
            return _not_sent("statement_text_not_expressible", text)
    return requests.pay(call, wire, account, statement, credentials)


def _target(call: Call) -> str | None:
    known = call.target_reference is not None and answers.is_id(call.target_psp_id)
    return call.target_psp_id if known else None


def _not_sent(code: str, detail: str) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail)
