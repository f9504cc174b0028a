"""PayPal: an order is created first, which moves nothing, then authorized or captured; captures, voids and refunds by the
ids of what they act on.

Invariant: APPROVED only for the reference, amount and currency that were asked for, read from the payment inside an
order; DECLINED only where PayPal calls it one. A sent call with any other answer is UNKNOWN.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from commands.messages import Outcome
from gateways.contract import (
    FIRST_STEP,
    Access,
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
from gateways.paypal import amounts, answers, certificates, names, orders, payments, requests, webhooks

_DAY_S: Final = 24 * 3600
_ORDER_KEY_S: Final = 5 * 3600  # PayPal may forget a key after 6 h
_PAYMENT_KEY_S: Final = 44 * _DAY_S  # and here after 45 days
_OUR_STEPS: Final = ("2", "3", "4")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_TAKING: Final = frozenset({"authorize", "sale"})


class _Reads(Protocol):
    """What orders, and what payments, have a module for."""

    def answered(self, call: Call, body: Mapping[str, Any], answer: HttpAnswer, /) -> Outcome: ...

    def refused(self, call: Call, body: Mapping[str, Any], answer: HttpAnswer, /) -> Outcome: ...

    def looked_up(self, call: Call, body: Mapping[str, Any], answer: HttpAnswer, /) -> Outcome | None: ...


FACTS: Final = Facts(
    name="paypal",
    title="PayPal",
    documents="Orders v2, Payments v2",
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=True,
    multicapture=True,
    refunds_of="capture",
    looks_up=True,
    key_life_s=_PAYMENT_KEY_S,
    # When it lapses; PayPal honours it for the first 3 days, after which a capture may be refused.
    authorization_life_s=29 * _DAY_S,
    completed_by="us",
    challenge="the payer agrees on PayPal's page, or passes 3-D Secure there; then we authorize or capture the order",
    idempotency="header PayPal-Request-Id: orders 5 h, payments 44 days; a repeat gives the latest state. A void has none",
    lookup="GET the order: by its id, which is kept before anything is taken",
    webhook="RSA-SHA256 by the certificate that PAYPAL-CERT-URL names; at most 3 days old",
    only_by_webhook="disputes; that the payer has agreed comes sooner",
    payment_method="card:<vault id> or paypal:<vault id>; `paypal` alone: the payer agrees on PayPal's page",
    credential="the REST app's secret",
    signed_by="[], for nothing is shared: PayPal's certificate signs them",
    options={
        "client_id": "the REST app's client id",
        "webhook_id": "the id of the webhook at PayPal, which is part of what is signed",
        "webhook_ca": "PEM of the certificates that the webhooks' chain has to end at, instead of the system's",
        "certificate_host": "host and port of a simulator, from which certificates may come, too, without TLS",
    },
    required=frozenset({"client_id", "webhook_id"}),
)


@dataclass(frozen=True, slots=True)
class PayPal:
    @property
    def facts(self) -> Facts:
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        return _ORDER_KEY_S if call.kind in _TAKING else _PAYMENT_KEY_S

    def moves_money(self, call: Call) -> bool:
        return call.kind not in _TAKING or call.step != FIRST_STEP

    def our_steps(self, call: Call) -> tuple[str, ...]:
        return _OUR_STEPS if call.kind in _TAKING else ()

    def absence_delay_s(self, call: Call) -> float | None:
        """An order that is read by its id shows all that was done, but not what is still being done; no call is known
        to take so long."""
        return 3600.0

    def sign_in(self, credentials: Credentials) -> HttpRequest:
        return requests.sign_in(credentials)

    def signed_in(self, answer: HttpAnswer) -> Access | None:
        body = answers.json_object(answer.body)
        token, life_s = body.get("access_token"), body.get("expires_in")
        readable = isinstance(token, str) and _TOKEN.fullmatch(token) and type(life_s) in {int, float}
        return Access(str(token), float(life_s or 0)) if answer.status == 200 and readable else None

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except amounts.NotExpressible as refused:
            return _not_sent(refused.code, refused.detail)
        if call.kind in _TAKING:
            return _take(call, wire, credentials)
        target = payments.target(call)
        if target is None or target.id is None:
            return _not_sent("target_unknown", "PayPal's id of what it acts on is not known")
        match call.kind:
            case "capture":
                return requests.capture(call, target.id, wire, credentials)
            case "void":
                return requests.void(call, target.id, credentials)
            case _:
                return requests.refund(call, target.id, wire, credentials)

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        body, reads = answers.json_object(answer.body), _reads(call)
        if answer.status in {200, 201} or (answer.status == 204 and call.kind == "void"):
            return reads.answered(call, body, answer)
        return reads.refused(call, body, answer)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        known = names.read(call.psp_id) if call.kind in _TAKING else payments.target(call)
        if known is None:
            return Outcome(kind="UNKNOWN", code="order_unknown")
        return requests.get_order(known.order, credentials)

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        body = answers.json_object(answer.body)
        if answer.status != 200:
            return answers.not_found_out(body, answer)
        return _reads(call).looked_up(call, body, answer)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """PayPal has no call that ends an order: without our next step nothing is taken of it, and it lapses."""
        return Outcome(kind="UNKNOWN", code="ended_by_us")

    def cancelled(self, call: Call, answer: HttpAnswer) -> Outcome:
        return Outcome(kind="UNKNOWN", code="ended_by_us")

    def certificate_url(self, hook: Hook, options: Mapping[str, str]) -> str | None:
        return certificates.address(
            hook.headers.get(webhooks.CERTIFICATE_URL), options.get("certificate_host")
        )

    def read_hook(self, hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
        return webhooks.read(hook, keys, now)

    def hook_challenge(self, query: Mapping[str, str], keys: HookKeys) -> str | None:
        return None


def _reads(call: Call) -> _Reads:
    return orders if call.kind in _TAKING else payments


def _take(call: Call, wire: dict[str, str], credentials: Credentials) -> HttpRequest | Outcome:
    source = requests.source_of(call.payment_method)
    if source is None:
        text = "paypal, paypal:<vault id> or card:<vault id>"
        return _not_sent("payment_method_not_expressible", text)
    stored = call.stored_credential
    if stored is not None and (
        source.vault_id is None or (stored.use, stored.initiator) == ("store", "merchant")
    ):
        text = "PayPal is told of a vaulted method only, and a customer has to be there when it is first kept"
        return _not_sent("stored_credential_not_expressible", text)
    if call.step == FIRST_STEP:
        if source.vault_id is None and call.return_url is None:
            return _not_sent("return_url_missing", "the payer has to come back from PayPal's page")
        if call.three_ds and source.of == "paypal" and source.vault_id is not None:
            return _not_sent("three_ds_not_expressible", "a vaulted wallet's owner is not asked")
        return requests.create(call, source, wire, credentials)
    known = names.read(call.psp_id)
    if known is None:
        return _not_sent("order_unknown", "PayPal's id of the order is not known")
    return requests.take(call, source, known.order, credentials)


def _not_sent(code: str, detail: str) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail)
