"""Braintree by GraphQL: charges, authorizations, captures, reversals and refunds, each of them one
mutation.

Invariant: APPROVED only for the reference, amount and currency that were requested, read from a response
that states all three; DECLINED only where Braintree calls it one. A sent call with any other response is
UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from commands.messages import Outcome
from commands.notices import Notice
from gateways.braintree import amounts, refunds, requests, responses, targets, transactions, webhooks
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
from gateways.wire.json import json_object, object_of
from gateways.wire.money import NotExpressible
from gateways.wire.outcomes import hint_of_status, not_expressible


class _Reads(Protocol):
    """The functions that the modules of transactions, targets and refunds have in common."""

    def read_response(
        self, call: Call, payload: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any], /
    ) -> Outcome:
        """The outcome in the payload of the mutation."""
        ...

    def looked_up(
        self, call: Call, node: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any], /
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
    disputes_show_as_refunds=False,
    looks_up=True,
    key_life_s=29 * _DAY_S,  # a key is kept 30 days
    authorization_life_s=7 * _DAY_S,  # the shortest of the card networks'
    final_call_by="psp",
    challenge="none: 3-D Secure is done in the merchant's page by Braintree's script, before the token is sent; a payment "
    "that demands it here is not sent",
    idempotency="input field apiRequestKey, taken as kept 29 days, where the account has it; none for a reversal. Else "
    "duplicates are refused for 30 s",
    lookup="node by id, of a charge with a search for another under its order id; search.transactions by orderId, where absent is never proof; what acts on a transaction is "
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
    """The adapter for Braintree's GraphQL API (developer.paypal.com/braintree/graphql/reference)."""

    @property
    def facts(self) -> Facts:
        """Braintree's declaration."""
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """The life of an `apiRequestKey`, where the account has it and the mutation takes one; else 0."""
        return FACTS.key_life_s if requests.has_key(call, credentials) else 0

    def moves_money(self, call: Call) -> bool:
        """True: each mutation acts at once."""
        return True

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        """None: an operation is one mutation."""
        return ()

    def absence_delay_s(self, call: Call) -> float | None:
        """Returns None for a payment, since nobody knows how long a search may lag. An hour for what acts on
        a transaction: reading by id shows all that was done, but not what is still being done; no call is
        known to take so long."""
        return None if call.is_charge_attempt else 3600.0

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The operation's mutation; NOT_SENT for what it cannot express."""
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except NotExpressible as refused:
            return not_expressible(refused.code, refused.detail)
        if call.is_charge_attempt:
            return _pay(call, wire, credentials)
        if (target := _target(call)) is None:
            return not_expressible(
                "target_unknown", "Braintree's id of the payment that it acts on is not known"
            )
        if call.kind == "capture":
            return requests.capture(call, target, wire, credentials)
        if call.kind == "void" and call.target_minor not in {None, call.amount_minor}:
            # A reversal would give back what was captured.
            return not_expressible("captured", "a capture has already released the rest")
        if requests.reverses(call):
            return requests.reverse(call, target, credentials)
        return requests.refund(call, target, wire, credentials)

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        """Reads the payload of the mutation, else its errors: a response has status 200 for both."""
        body = json_object(response.body)
        payload = object_of(body.get("data")).get(requests.root(call))
        if responses.errors(body):
            if payload is not None:
                return responses.unknown(response, "errors_beside_data", body, repeat_is_useless=True)
            return responses.refused(call, body, response)
        if response.status != 200 or not isinstance(payload, dict):
            return responses.unreadable(response, body)
        return _READS[call.kind].read_response(call, payload, response, body)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Reads the transaction or the refund by its id, of a payment with a search under its order id; else
        searches by order id."""
        if call.is_charge_attempt:
            if responses.is_id(call.psp_id):
                return requests.by_id_and_order_id(call.psp_id, call.reference, credentials)
            return requests.by_order_id(call.reference, credentials)
        if call.kind == "refund" and responses.is_id(call.psp_id):
            return requests.by_id(call.psp_id, credentials)
        if (target := _target(call)) is None:
            return Outcome(kind="UNKNOWN", code="target_unknown")
        return requests.by_id(target, credentials)

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        """Reads the node or the transactions that the lookup found. None: none is shown."""
        body = json_object(response.body)
        data = object_of(body.get("data"))
        if responses.errors(body):
            hint = "CONFIG" if responses.is_config(body) else hint_of_status(response.status)
            return responses.unknown(response, "look_up_refused", body, hint=hint)
        if response.status != 200:
            return responses.unreadable(response, body)
        if call.is_charge_attempt and not responses.is_id(call.psp_id):
            return transactions.of_search(call, object_of(data.get("search")), response, body)
        if "node" in data and data["node"] is None:
            return responses.unknown(response, "psp_id_not_found", body)
        node = object_of(data.get("node"))
        wanted = "Refund" if call.kind == "refund" and responses.is_id(call.psp_id) else "Transaction"
        if node.get("__typename") != wanted:
            return responses.unreadable(response, body)
        return _READS[call.kind].looked_up(call, node, response, body)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """UNKNOWN: no operation awaits its customer at Braintree."""
        return Outcome(kind="UNKNOWN", code="nothing_waits", detail="Braintree has no open challenge to end")

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        """UNKNOWN: no cancel is sent."""
        return responses.unknown(response, "nothing_waits", json_object(response.body))

    def read_webhook(
        self, webhook: Webhook, keys: WebhookKeys, now: datetime
    ) -> tuple[Notice, ...] | WebhookRefused:
        """Verifies one notification and reads it."""
        return webhooks.read(webhook, keys)

    def webhook_challenge(self, query: Mapping[str, str], keys: WebhookKeys) -> str | None:
        """The response to Braintree's check of the webhooks' address."""
        return webhooks.challenge(query, keys)


def _pay(call: Call, wire: str, credentials: Credentials) -> HttpRequest | Outcome:
    if call.three_ds:
        detail = "3-D Secure is done in the merchant's page, before there is a token"
        return Outcome(kind="NOT_SENT", code="three_ds_at_the_merchant", detail=detail, hint="REFRESH_TOKEN")
    account = requests.merchant_account(call.currency, credentials)
    if account is None:
        return not_expressible("currency_not_supported", f"no merchant account is set for {call.currency}")
    statement = None
    if call.statement_text is not None:
        statement = requests.descriptor(call.statement_text, credentials)
        if statement is None:
            text = "a company's name of 3, 7 or 12 signs, a star, and up to 18, 14 or 9 signs"
            return not_expressible("statement_text_not_expressible", text)
    return requests.pay(call, wire, account, statement, credentials)


def _target(call: Call) -> str | None:
    known = call.target_reference is not None and responses.is_id(call.target_psp_id)
    return call.target_psp_id if known else None
