"""Adyen's case book."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson

from gateways.adyen import amounts
from gateways.adyen.adapter import Adyen
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse, Webhook, WebhookKeys
from gateways.simulator.adyen.declaration import PSP
from gateways.simulator.core.accounts import Account
from tests.gateways.adyen import payloads
from tests.gateways.adyen.oracle import EVENTS, ORACLE
from tests.gateways.conformance.book import CaseBook, Cell, On, Respond, Simulated
from tests.gateways.conformance.calls import PAYMENT, calls
from tests.gateways.conformance.cases import PLANTED, Operation, Result, Without
from tests.gateways.conformance.webhooks import shared_secret

SECRET: Final = f"AQEyhmfx{PLANTED}K39aPx8WM+6ZzqXhJkUvU0jC"
_NEW_HMAC_KEY: Final = payloads.HMAC_KEY[::-1]


def psp_id(reference: str) -> str:
    return f"Q{hashlib.md5(reference.encode()).hexdigest()[:15].upper()}"


def money(call: Call) -> dict[str, Any]:
    return {"value": amounts.to_wire(call.amount_minor, call.currency), "currency": call.currency}


def paid(result: str, **more: Any) -> Respond:
    def respond(call: Call) -> HttpResponse:
        known = {"pspReference": psp_id(call.reference), "amount": money(call)}
        return payloads.http_response(200, payloads.paid(call, result, **(known | more)))

    return respond


def issuer(code: Any, advice: Any) -> tuple[Call, HttpResponse]:
    raw = f"{code} : What it means" if isinstance(code, str) else code
    shown = {"refusalReasonRaw": raw, "merchantAdviceCode": advice}
    call = _ASKED["authorize"]
    return call, paid("Refused", refusalReasonCode="2", additionalData=shown)(call)


def challenged(call: Call) -> HttpResponse:
    return payloads.http_response(
        200, payloads.redirected(call) | {"pspReference": psp_id(call.reference), "amount": money(call)}
    )


def received(call: Call) -> HttpResponse:
    """A sale's last step acts on what its first has authorised."""
    shown = payloads.received(call, pspReference=psp_id(f"{call.reference}-own"))
    amount = {} if call.kind == "void" else {"amount": money(call)}
    of = call.psp_id if call.kind == "sale" else call.target_psp_id
    return payloads.http_response(201, shown | {"paymentPspReference": of} | amount)


def error(status: int, code: str, message: str = "Something is not right.", **headers: str) -> Respond:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: payloads.http_response(status, payloads.error(status, code, message), named)


def at_first(cell: Respond) -> On:
    return On(cell, {"step": "1", "psp_id": None})


_FIRST: Final = {"step": "1", "psp_id": None}
_REFUSED: Final[Mapping[Result, Cell]] = {
    "NOT_SENT": error(422, "130", "Reference Missing"),
    "CONFIG": error(403, "010", "Not allowed"),
    "DUPLICATE": error(422, "704", "request already processed or in progress"),
    "UNKNOWN": error(500, "905", "Payment details are not supported", transient_error="false"),
}
_UNKNOWN: Final[Mapping[Result, Cell]] = {"UNKNOWN": error(409, "704", "in progress", transient_error="true")}
_AUTHORIZE: Final[Mapping[Result, Cell]] = {
    "APPROVED": paid("Authorised"),
    "ACTION_REQUIRED": challenged,
    "PENDING": paid("Pending"),
    "DECLINED_SOFT": paid("Refused", refusalReasonCode="2", refusalReason="Refused"),
    "DECLINED_HARD": paid("Refused", refusalReasonCode="6", refusalReason="Expired Card"),
    **_REFUSED,
    **_UNKNOWN,
}
_SALE: Final[Mapping[Result, Cell]] = {
    "APPROVED": Without("the capture that ends a sale is taken in, and the webhook CAPTURE reports its end"),
    "ACTION_REQUIRED": at_first(challenged),
    "PENDING": received,
    "DECLINED_SOFT": at_first(paid("Refused", refusalReasonCode="2", refusalReason="Refused")),
    "DECLINED_HARD": at_first(paid("Refused", refusalReasonCode="6", refusalReason="Expired Card")),
    "NOT_SENT": at_first(error(422, "130", "Reference Missing")),
    "CONFIG": at_first(error(403, "010", "Not allowed")),
    "DUPLICATE": error(422, "704", "request already processed or in progress"),
    **_UNKNOWN,
}
_LATER: Final[Mapping[Result, Cell]] = {
    "APPROVED": Without("Adyen takes it in, and tells by webhook how it ended"),
    "ACTION_REQUIRED": Without("captures, cancels and refunds ask nothing of the shopper"),
    "PENDING": received,
    "DECLINED_SOFT": Without("Adyen takes it in, and tells by webhook how it ended"),
    "DECLINED_HARD": Without("Adyen takes it in, and tells by webhook how it ended"),
    **_REFUSED,
    **_UNKNOWN,
}
SAYS: Final[Mapping[Operation, Mapping[Result, Cell]]] = {
    "authorize": _AUTHORIZE,
    "sale": _SALE,
    **dict.fromkeys(("capture", "capture_part", "void", "refund", "refund_part"), _LATER),
}


def _keys(replayed: Respond) -> Mapping[Any, Cell]:
    return {
        "replayed": replayed,
        "other_parameters": Without(
            "Adyen documents no check of the parameters: it replays the first response"
        ),
        "still_running": error(409, "704", "request in progress", transient_error="true"),
    }


_EVENTS: Final = {
    "authorize": "AUTHORISATION",
    "sale": "CAPTURE",
    "capture": "CAPTURE",
    "void": "CANCELLATION",
    "refund": "REFUND",
}


def signed(call: Call, _: datetime, key: str) -> Webhook:
    first = call.kind == "authorize"
    original = psp_id(call.reference) if call.kind == "sale" else call.target_psp_id
    own = psp_id(call.reference if call.kind != "sale" else f"{call.reference}-own")
    ids: dict[str, Any] = {"pspReference": own} | ({} if first else {"originalReference": original})
    return payloads.webhook(
        payloads.item(_EVENTS[call.kind], call.reference, amount=money(call), **ids), key=key
    )


def resigned(body: bytes) -> Webhook:
    """Signs each item that can be signed."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Webhook({"content-type": "application/json"}, body)
    items = content.get("notificationItems") if isinstance(content, dict) else None
    for one in items if isinstance(items, list) else ():
        shown = one.get("NotificationRequestItem") if isinstance(one, dict) else None
        if isinstance(shown, dict) and isinstance(shown.get("additionalData", {}), dict):
            one["NotificationRequestItem"] = payloads.signed(shown)
    return Webhook({"content-type": "application/json"}, orjson.dumps(content))


def unsigned(webhook: Webhook) -> Webhook:
    return replace(webhook, body=webhook.body.replace(b"hmacSignature", b"anotherThing"))


_NO_LOOK_UP: Final = Without("Adyen has no call that asks for a payment: a repeat, or its webhooks, tell")
_ONLY_BY_HOOK: Final = Without(
    "only the webhook TECHNICAL_CANCEL tells what became of a cancel by our reference"
)
_VOID_HAS_NO_SUM: Final = Without("a cancel and its response have no amount")


async def at_the_bank(browser: aiohttp.ClientSession, page: str) -> dict[str, str]:
    async with browser.post(page, data={"result": "pass"}, allow_redirects=False) as back:
        return dict(parse_qsl(urlsplit(back.headers["Location"]).query))


def _written(request: HttpRequest) -> str | None:
    amount = orjson.loads(request.body or b"").get("amount")
    return None if amount is None else str(amount["value"])


_SIMULATED: Final = Simulated(
    psp=PSP,
    account=Account(
        *("adyen", "adyen", SECRET),
        options={"merchant_account": payloads.MERCHANT, "multicapture": "true"},
        webhook_secret=payloads.HMAC_KEY,
    ),
    tokens={
        "approved": "sim_APPROVED",
        "declined_soft": "sim_NOT_ENOUGH_BALANCE",
        "declined_hard": "sim_CARD_EXPIRED",
        "challenged": "sim_3DS",
    },
    customer=at_the_bank,
    keys=WebhookKeys((payloads.HMAC_KEY,), {"merchant_account": payloads.MERCHANT}),
)
_ASKED: Final = calls("8415718415172204", psp_id)

BOOK: Final = CaseBook(
    gateway=Adyen(),
    credentials=Credentials(
        "https://checkout-test.adyen.com", SECRET, {"merchant_account": payloads.MERCHANT}
    ),
    calls={**_ASKED, "sale": replace(_ASKED["sale"], step="3", psp_id=psp_id(f"{PAYMENT}-s1"))},
    responses=SAYS,
    psp_id=psp_id,
    amounts={
        (1099, "USD"): "1099",
        (500, "JPY"): "500",
        (5120, "KWD"): "5120",
        (5124, "KWD"): "5124",
        (1230, "TND"): "1230",
        (5, "ISK"): "500",
        (1045, "HUF"): "1045",
        (1000, "HUF"): "1000",
        (80000, "TWD"): "80000",
        (1000, "CLP"): "100000",
        (5, "UGX"): "5",
        (1500000, "IDR"): "15000",
    },
    written=_written,
    key_of=lambda request: request.headers.get("Idempotency-Key"),
    keys={
        operation: _keys(paid("Authorised") if operation == "authorize" else received) for operation in SAYS
    },
    looks=dict.fromkeys(SAYS, _NO_LOOK_UP),
    twice=dict.fromkeys(SAYS, _NO_LOOK_UP),
    cancels={
        "ended": _ONLY_BY_HOOK,
        "was_approved": _ONLY_BY_HOOK,
        "refused": On(error(422, "167", "Original pspReference required"), {"step": "x"}),
    },
    unseen={("void", what): _VOID_HAS_NO_SUM for what in ("more", "less", "currency")},
    keyless={},
    error_in_200=payloads.http_response(200, payloads.error(422, "130", "Reference Missing")),
    error_in_200_is=frozenset({"UNKNOWN", "DUPLICATE"}),
    too_many=payloads.http_response(429, payloads.error(429, "29_001", "Too many requests")),
    error_saying=lambda text: payloads.http_response(422, payloads.error(422, "130", text)),
    oracle=ORACLE,
    webhooks=shared_secret(
        signed,
        payloads.HMAC_KEY,
        _NEW_HMAC_KEY,
        sign=resigned,
        events=EVENTS,
        expires=Without("its signature covers no time: repeats are known by pspReference, event and success"),
        options={"merchant_account": payloads.MERCHANT},
        unsigned=unsigned,
    ),
    simulator=_SIMULATED,
    issuer=issuer,
    before={"sale": (On(paid("Authorised"), _FIRST),)},
)
