"""Braintree's case book."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import orjson

from gateways.braintree import amounts
from gateways.braintree.adapter import Braintree
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse, Webhook, WebhookKeys
from gateways.simulator.braintree.declaration import PSP
from gateways.simulator.core.accounts import Account
from tests.gateways.braintree import payloads
from tests.gateways.braintree.oracle import EVENTS, ORACLE
from tests.gateways.conformance.book import CaseBook, Cell, Respond, Shows, Simulated
from tests.gateways.conformance.calls import FULL_MINOR, calls
from tests.gateways.conformance.cases import PLANTED, Operation, Result, Without
from tests.gateways.conformance.webhooks import shared_secret

SECRET: Final = f"{PLANTED}a1b2c3d4e5f6a7b8c9d0"
_CURRENCIES: Final = "USD EUR JPY KWD TND ISK HUF TWD CLP UGX IDR"
OPTIONS: Final = {
    "public_key": payloads.PUBLIC_KEY,
    "merchant_accounts": ",".join(f"{one}=acct_{one.lower()}" for one in _CURRENCIES.split()),
    "api_request_key": "true",
}


def psp_id(reference: str) -> str:
    what = "refund" if "-r" in reference else "transaction"
    return base64.b64encode(f"{what}_{hashlib.md5(reference.encode()).hexdigest()[:8]}".encode()).decode()


def money(call: Call) -> dict[str, Any]:
    return payloads.money(amounts.to_wire(call.amount_minor, call.currency), call.currency)


def taken(call: Call, status: str, **more: Any) -> dict[str, Any]:
    """The transaction of an authorization or a sale."""
    known = {"id": psp_id(call.reference), "orderId": call.reference, "amount": money(call)}
    return payloads.transaction(status, **(known | more))


def target(call: Call, status: str, amount: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """What a capture, a void or a refund acts on."""
    assert call.target_reference is not None
    whole = money(replace(call, amount_minor=call.target_minor or FULL_MINOR))
    now = amount or whole
    history = [{"status": status, "amount": now}, {"status": "AUTHORIZED", "amount": whole}]
    known: dict[str, Any] = {"id": call.target_psp_id, "orderId": call.target_reference, "refunds": []}
    return payloads.transaction(status, **known, amount=now, statusHistory=history) | more


def is_whole(call: Call) -> bool:
    return call.amount_minor == call.target_minor


def refund(call: Call, status: str, **more: Any) -> dict[str, Any]:
    """A refund of all is what a reversal makes: it has the order id of its payment."""
    known = {
        "id": psp_id(call.reference),
        "orderId": call.target_reference if is_whole(call) else call.reference,
        "amount": money(call),
        "refundedTransaction": {"id": call.target_psp_id},
    }
    return payloads.refund(status, **(known | more))


def under(call: Call, payload: dict[str, Any]) -> HttpResponse:
    """As the response to the call's mutation."""
    match call.kind:
        case "authorize":
            return payloads.http_response(payloads.authorized(payload))
        case "sale":
            return payloads.http_response(payloads.charged(payload))
        case "capture":
            return payloads.http_response(payloads.captured(payload))
        case "void":
            return payloads.http_response(payloads.reversed_as("Transaction", payload))
        case _:
            whole = is_whole(call)
            return payloads.http_response(
                payloads.reversed_as("Refund", payload) if whole else payloads.refunded(payload)
            )


def done(call: Call, status: str | None = None, **more: Any) -> dict[str, Any]:
    match call.kind:
        case "authorize":
            return taken(call, status or "AUTHORIZED", **more)
        case "sale":
            return taken(call, status or "SUBMITTED_FOR_SETTLEMENT", **more)
        case "capture":
            return target(call, status or "SUBMITTED_FOR_SETTLEMENT", money(call), **more)
        case "void":
            return target(call, status or "VOIDED", **more)
        case _:
            return refund(call, status or "SUBMITTED_FOR_SETTLEMENT", **more)


def at(status: str | None = None, **more: Any) -> Respond:
    return lambda call: under(call, done(call, status, **more))


def declined(code: str, **more: Any) -> Respond:
    event = {"declineType": None, "processorResponse": {"legacyCode": code}}
    return at("PROCESSOR_DECLINED", event=event | more)


def issuer(code: Any, advice: Any) -> tuple[Call, HttpResponse]:
    shown = {"networkResponse": {"code": code}, "merchantAdviceCodeResponse": {"code": advice}}
    call = BOOK.call("authorize")
    return call, declined("2001", **shown)(call)


def failed(error_class: str, message: str = "It is not right.", **more: Any) -> Respond:
    return lambda _: payloads.http_response(payloads.failed(payloads.error(error_class, message, **more)))


_REFUSED: Final[Mapping[Result, Cell]] = {
    "NOT_SENT": failed("VALIDATION", legacyCode="81502"),
    "CONFIG": failed("AUTHENTICATION"),
    "UNKNOWN": failed("INTERNAL"),
}
_TAKING: Final[Mapping[Result, Cell]] = {
    "APPROVED": at(),
    "ACTION_REQUIRED": Without("3-D Secure is done in the shop's page, before the token is sent here"),
    "PENDING": at("AUTHORIZING"),
    "DECLINED_SOFT": declined("2001"),
    "DECLINED_HARD": declined("2012"),
    "DUPLICATE": at("GATEWAY_REJECTED", event={"gatewayRejectionReason": "DUPLICATE"}),
    **_REFUSED,
}
_CAPTURE: Final[Mapping[Result, Cell]] = {
    "APPROVED": at(),
    "ACTION_REQUIRED": Without("a capture asks nothing of the customer"),
    "PENDING": at("SETTLEMENT_PENDING"),
    "DECLINED_SOFT": Without("a capture that is declined releases what was authorized"),
    "DECLINED_HARD": at("SETTLEMENT_DECLINED"),
    "DUPLICATE": failed("VALIDATION", legacyCode="91507"),
    **_REFUSED,
}
_VOID: Final[Mapping[Result, Cell]] = {
    "APPROVED": at(),
    "ACTION_REQUIRED": Without("a reversal asks nothing of the customer"),
    "PENDING": Without("Braintree releases what is authorized at once"),
    "DECLINED_SOFT": Without("nobody declines the release of what is held"),
    "DECLINED_HARD": Without("nobody declines the release of what is held"),
    "DUPLICATE": failed("VALIDATION", legacyCode="91504"),
    **_REFUSED,
}
_REFUND: Final[Mapping[Result, Cell]] = {
    "APPROVED": at(),
    "ACTION_REQUIRED": Without("a refund asks nothing of the customer"),
    "PENDING": at("SETTLEMENT_PENDING"),
    "DECLINED_SOFT": declined("2001"),
    "DECLINED_HARD": at("SETTLEMENT_DECLINED"),
    "DUPLICATE": failed("VALIDATION", legacyCode="91512"),
    **_REFUSED,
}
SAYS: Final[Mapping[Operation, Mapping[Result, Cell]]] = {
    "authorize": _TAKING,
    "sale": _TAKING,
    "capture": _CAPTURE,
    "capture_part": _CAPTURE,
    "void": _VOID,
    "refund": _REFUND,
    "refund_part": _REFUND,
}


def _numbered(executed: Sequence[Call]) -> list[dict[str, Any]]:
    return [done(one) | {"id": f"{psp_id(one.reference)[:-2]}{i}="} for i, one in enumerate(executed)]


def by_id(call: Call, executed: Sequence[Call]) -> HttpResponse:
    if not executed:
        return payloads.http_response({"data": {"node": None}})
    if call.kind == "refund":
        return payloads.http_response(payloads.node("Refund", done(executed[0])))
    return payloads.http_response(payloads.by_id(done(executed[0])))


def searched(_: Call, executed: Sequence[Call]) -> HttpResponse:
    return payloads.http_response(payloads.search(*_numbered(executed)))


def by_target(call: Call, executed: Sequence[Call]) -> HttpResponse:
    if not executed:
        return payloads.http_response(
            payloads.node("Transaction", target(call, "SETTLED" if call.kind == "refund" else "AUTHORIZED"))
        )
    if call.kind == "refund":
        shown = target(executed[0], "SETTLED", refunds=_numbered(executed))
        return payloads.http_response(payloads.node("Transaction", shown))
    return payloads.http_response(payloads.node("Transaction", done(executed[0])))


def signed(call: Call, _: datetime, secret: str) -> Webhook:
    """Braintree reports by webhook neither approvals nor declines, but that one has settled."""
    order_id = f"<order-id>{call.reference}</order-id>"
    xml = payloads.notification(
        "transaction_settled", f"<transaction><id>kdb5gx8g</id>{order_id}</transaction>"
    )
    return notified(xml.encode(), secret)


def notified(xml: bytes, secret: str) -> Webhook:
    """Signs a notification."""
    sent = base64.encodebytes(xml).decode()
    return payloads.webhook(
        xml, signed=f"{payloads.PUBLIC_KEY}|{payloads.signature(sent, secret)}", payload=sent
    )


def unsigned(webhook: Webhook) -> Webhook:
    payload = parse_qs(webhook.body.decode())["bt_payload"][0]
    return replace(webhook, body=urlencode({"bt_payload": payload}).encode())


def _written(request: HttpRequest) -> str | None:
    """A reversal shows no amount."""
    made = orjson.loads(request.body or b"")["variables"]["input"]
    amount = made.get("transaction", made.get("refund", {})).get("amount")
    return None if amount is None else str(amount)


_SIMULATED: Final = Simulated(
    psp=PSP,
    account=Account(
        *("braintree", "braintree", SECRET, payloads.PUBLIC_KEY),
        options={"merchant_accounts": OPTIONS["merchant_accounts"]},
    ),
    tokens={
        "approved": "fake-valid-nonce",
        "declined_soft": "fake-processor-declined-visa-nonce",
        "declined_hard": "fake-sim-declined-hard-nonce",
        "challenged": Without("3-D Secure is done in the shop's page, before the token is sent here"),
    },
    customer=Without("nothing waits for its customer at Braintree"),
    keys=WebhookKeys((SECRET,), OPTIONS),
)
_NO_KEY: Final = Without("a reversal takes no key: it is sent once, and then its transaction is read")
_KEYS: Final[Mapping[Any, Cell]] = {
    "replayed": at(),
    "other_parameters": failed("VALIDATION", "The apiRequestKey was used with another input."),
    "still_running": failed("VALIDATION", "A request with this apiRequestKey is in progress."),
}
_OWN: Final[Mapping[Any, Shows | Without]] = {"by_id": by_id, "by_reference": searched}
_TARGETS: Final[Mapping[Any, Shows | Without]] = {
    "by_id": Without("a capture or void has no object of its own: the transaction is read"),
    "by_reference": by_target,
}
_REFUNDED: Final[Mapping[Any, Shows | Without]] = {"by_id": by_id, "by_reference": by_target}
_NO_TWO: Final = Without("one transaction is read, and it is captured or voided once")
_NO_CHALLENGE: Final = Without("nothing waits for its customer at Braintree, so there is nothing to end")

BOOK: Final = CaseBook(
    gateway=Braintree(),
    credentials=Credentials("https://payments.sandbox.braintree-api.com", SECRET, OPTIONS),
    calls=calls("tokencc_bh_8yk8s8_9rk5hn", psp_id),
    responses=SAYS,
    psp_id=psp_id,
    amounts={
        (1099, "USD"): "10.99",
        (500, "JPY"): "500",
        (5120, "KWD"): "5.120",
        (5124, "KWD"): "5.124",
        (1230, "TND"): "1.230",
        (5, "ISK"): "5",
        (1045, "HUF"): "10.45",
        (1000, "HUF"): "10.00",
        (80000, "TWD"): "800.00",
        (1000, "CLP"): "1000",
        (5, "UGX"): "5",
        (1500000, "IDR"): Without("Braintree does not say how many decimals it writes IDR with"),
    },
    written=_written,
    key_of=lambda request: orjson.loads(request.body or b"")["variables"]["input"].get("apiRequestKey"),
    keys=dict.fromkeys(SAYS, _KEYS) | {"void": _NO_KEY, "refund": _NO_KEY},
    looks={
        **dict.fromkeys(("authorize", "sale"), _OWN),
        **dict.fromkeys(("capture", "capture_part", "void"), _TARGETS),
        **dict.fromkeys(("refund", "refund_part"), _REFUNDED),
    },
    twice={
        **dict.fromkeys(("authorize", "sale"), searched),
        **dict.fromkeys(("capture", "capture_part", "void"), _NO_TWO),
        **dict.fromkeys(("refund", "refund_part"), by_target),
    },
    cancels=dict.fromkeys(("ended", "was_approved", "refused"), _NO_CHALLENGE),
    unseen={},
    keyless={},
    error_in_200=payloads.http_response(payloads.failed(payloads.error("VALIDATION", legacyCode="81502"))),
    error_in_200_is=frozenset({"NOT_SENT"}),  # an error comes with 200, and its class decides
    too_many=payloads.http_response(payloads.failed(payloads.error("RESOURCE_LIMIT")), 429),
    error_saying=lambda text: payloads.http_response(payloads.failed(payloads.error("VALIDATION", text))),
    oracle=ORACLE,
    webhooks=shared_secret(
        signed,
        SECRET,
        f"{PLANTED}another0a1b2c3d4e5f6",
        sign=lambda body: notified(body, SECRET),
        events=EVENTS,
        expires=Without("its signature covers no time: the same payload has the same event id"),
        options=OPTIONS,
        unsigned=unsigned,
    ),
    simulator=_SIMULATED,
    issuer=issuer,
)
