"""PayPal: an order is created first, which moves nothing, then authorized or captured; captures, voids and
refunds go by the ids of what they act on.

Invariant: APPROVED only for the reference, amount and currency that were requested, read from the payment
inside an order; DECLINED only where PayPal calls it one. A sent call with any other response is UNKNOWN.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from aggregates.operation import FIRST_STEP
from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import (
    Access,
    Call,
    Credentials,
    Facts,
    HttpRequest,
    HttpResponse,
    Webhook,
    WebhookKeys,
    WebhookRefused,
)
from gateways.paypal import amounts, certificates, names, orders, payments, requests, responses, webhooks
from gateways.wire.json import json_object
from gateways.wire.money import NotExpressible
from gateways.wire.outcomes import not_expressible

_DAY_S: Final = 24 * 3600
_ORDER_KEY_S: Final = 5 * 3600  # PayPal may forget a key after 6 h
_PAYMENT_KEY_S: Final = 44 * _DAY_S  # and here after 45 days
_OUR_STEPS: Final = ("2", "3", "4")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")


class _Reads(Protocol):
    """The functions that the modules of orders and of payments have in common."""

    def read_response(self, call: Call, body: Mapping[str, Any], response: HttpResponse, /) -> Outcome: ...

    def refused(self, call: Call, body: Mapping[str, Any], response: HttpResponse, /) -> Outcome: ...

    def looked_up(self, call: Call, body: Mapping[str, Any], response: HttpResponse, /) -> Outcome | None: ...


FACTS: Final = Facts(
    name="paypal",
    title="PayPal",
    documents="Orders v2, Payments v2",
    kinds=frozenset({"authorize", "sale", "capture", "void", "refund"}),
    currencies=amounts.CURRENCIES,
    partial_capture=True,
    multicapture=True,
    refunds_of="capture",
    disputes_show_as_refunds=True,
    looks_up=True,
    key_life_s=_PAYMENT_KEY_S,
    # When it lapses; PayPal honours it for the first 3 days, after which a capture may be refused.
    authorization_life_s=29 * _DAY_S,
    final_call_by="us",
    challenge="the payer agrees on PayPal's page, or passes 3-D Secure there; then we authorize or capture the order",
    idempotency="header PayPal-Request-Id: orders 5 h, payments 44 days; a repeat gives the latest state. A void has none",
    lookup="GET the order: by its id, which is kept before anything is taken",
    webhook="RSA-SHA256 by the certificate that PAYPAL-CERT-URL names; at most 3 days old",
    only_by_webhook="disputes; that the payer has agreed comes sooner",
    token_prefixes=frozenset({"card", "paypal"}),
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
    """The adapter for PayPal's Orders API v2 and Payments API v2 (developer.paypal.com/docs/api/orders/v2 and
    developer.paypal.com/docs/api/payments/v2)."""

    @property
    def facts(self) -> Facts:
        """PayPal's declaration."""
        return FACTS

    def key_life_s(self, call: Call, credentials: Credentials) -> int:
        """The life of a PayPal-Request-Id: 6 h for orders, 45 days for payments, each with a margin (the
        OpenAPI descriptions of both)."""
        return _ORDER_KEY_S if call.is_charge_attempt else _PAYMENT_KEY_S

    def moves_money(self, call: Call) -> bool:
        """Returns False for the creation of an order, and True for every other call."""
        return not call.is_charge_attempt or call.step != FIRST_STEP

    def steps_we_send(self, call: Call) -> tuple[str, ...]:
        """The authorization or capture of the order, which may be repeated when the payer has come back."""
        return _OUR_STEPS if call.is_charge_attempt else ()

    def absence_delay_s(self, call: Call) -> float | None:
        """An hour. An order that is read by its id shows all that was done, but not what is still being done;
        no call is known to take so long."""
        return 3600.0

    def sign_in(self, credentials: Credentials) -> HttpRequest:
        """A request for an access token by the client's credentials
        (developer.paypal.com/api/rest/authentication)."""
        return requests.sign_in(credentials)

    def signed_in(self, response: HttpResponse) -> Access | None:
        """The token of a response with status 200 that has both a token and its seconds."""
        body = json_object(response.body)
        token, life_s = body.get("access_token"), body.get("expires_in")
        readable = isinstance(token, str) and _TOKEN.fullmatch(token) and type(life_s) in {int, float}
        return Access(str(token), float(life_s or 0)) if response.status == 200 and readable else None

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """The step's call: create or take an order, or act on an authorization or a capture. NOT_SENT for
        what PayPal's fields cannot express."""
        try:
            wire = amounts.to_wire(call.amount_minor, call.currency)
        except NotExpressible as refused:
            return not_expressible(refused.code, refused.detail)
        if call.is_charge_attempt:
            return _take(call, wire, credentials)
        target = payments.target(call)
        if target is None or target.id is None:
            return not_expressible("target_unknown", "PayPal's id of what it acts on is not known")
        match call.kind:
            case "capture":
                return requests.capture(call, target.id, wire, credentials)
            case "void":
                return requests.void(call, target.id, credentials)
            case _:
                return requests.refund(call, target.id, wire, credentials)

    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        """Reads the order, the capture or the refund in a successful response, else PayPal's error."""
        body, reads = json_object(response.body), _reads(call)
        if response.status in {200, 201} or (response.status == 204 and call.kind == "void"):
            return reads.read_response(call, body, response)
        return reads.refused(call, body, response)

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """Reads the order: by its id or, for what acts on a payment, by the order in which that payment
        is."""
        known = names.read(call.psp_id) if call.is_charge_attempt else payments.target(call)
        if known is None:
            return Outcome(kind="UNKNOWN", code="order_unknown")
        return requests.get_order(known.order, credentials)

    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        """Reads what the order shows of the step."""
        body = json_object(response.body)
        if response.status != 200:
            return responses.not_found_out(body, response)
        return _reads(call).looked_up(call, body, response)

    def cancel(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        """UNKNOWN: PayPal has no call that ends an order. Without our next step nothing is taken of it, and
        it lapses."""
        return Outcome(kind="UNKNOWN", code="ended_by_us")

    def cancelled(self, call: Call, response: HttpResponse) -> Outcome:
        """UNKNOWN: no cancel is sent."""
        return Outcome(kind="UNKNOWN", code="ended_by_us")

    def certificate_url(self, webhook: Webhook, options: Mapping[str, str]) -> str | None:
        """The address in PAYPAL-CERT-URL, where it is PayPal's or the simulator's."""
        return certificates.address(
            webhook.headers.get(webhooks.CERTIFICATE_URL), options.get("certificate_host")
        )

    def read_webhook(
        self, webhook: Webhook, keys: WebhookKeys, now: datetime
    ) -> tuple[Notice, ...] | WebhookRefused:
        """Verifies one event by PayPal's certificate and reads it."""
        return webhooks.read(webhook, keys, now)

    def issuer_url(self, certificate: bytes, options: Mapping[str, str], now: datetime) -> str | None:
        """The address of the issuer, where PayPal has served its certificate alone."""
        return certificates.issuer_address(certificate, options, now)

    def transmission(self, webhook: Webhook) -> str | None:
        """The id in PAYPAL-TRANSMISSION-ID."""
        return webhooks.transmission(webhook)

    def changes(self, notice: Notice) -> bool:
        """Returns False for an update of a named operation, which only leads to a query."""
        return webhooks.changes(notice)

    def confirm(self, notice: Notice, credentials: Credentials) -> HttpRequest:
        """Reads the event by its id."""
        return webhooks.confirm(notice, credentials)

    def confirmed(self, notice: Notice, response: HttpResponse) -> Notice | None:
        """The notice in the event that PayPal shows."""
        return webhooks.confirmed(notice, response)


def _reads(call: Call) -> _Reads:
    return orders if call.is_charge_attempt else payments


def _take(call: Call, wire: dict[str, str], credentials: Credentials) -> HttpRequest | Outcome:
    source = requests.source_of(call.payment_method)
    if source is None:
        text = "paypal, paypal:<vault id> or card:<vault id>"
        return not_expressible("payment_method_not_expressible", text)
    stored = call.stored_credential
    if stored is not None and (
        source.vault_id is None or (stored.use, stored.initiator) == ("store", "merchant")
    ):
        text = "PayPal takes an initiator for a vaulted method only, and the customer has to be there when it is first kept"
        return not_expressible("stored_credential_not_expressible", text)
    if call.step == FIRST_STEP:
        if source.vault_id is None and call.return_url is None:
            return not_expressible("return_url_missing", "the payer has to come back from PayPal's page")
        if call.three_ds and source.of == "paypal" and source.vault_id is not None:
            return not_expressible("three_ds_not_expressible", "a vaulted wallet has no challenge")
        return requests.create(call, source, wire, credentials)
    known = names.read(call.psp_id)
    if known is None:
        return not_expressible("order_unknown", "PayPal's id of the order is not known")
    return requests.take(call, source, known.order, credentials)
