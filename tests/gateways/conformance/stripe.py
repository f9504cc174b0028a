"""Stripe's case book."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import aiohttp

from gateways.contract import Call, Credentials, HttpRequest, HttpResponse, Webhook, WebhookKeys
from gateways.simulator.core.accounts import Account
from gateways.simulator.stripe.declaration import PSP
from gateways.stripe import amounts
from gateways.stripe.adapter import Stripe
from tests.gateways.conformance.book import CaseBook, Cell, On, Respond, Shows, Simulated
from tests.gateways.conformance.calls import calls
from tests.gateways.conformance.cases import PLANTED, Operation, Result, Without
from tests.gateways.conformance.webhooks import NOW, shared_secret
from tests.gateways.stripe import payloads, webhooks
from tests.gateways.stripe.oracle import EVENTS, ORACLE

SECRET: Final = f"sk_test_{PLANTED}4eC39HqLyjWDarjtT1zdp7dc"
WEBHOOK_SECRET: Final = f"whsec_{PLANTED}5WbX5kEWLlfzsGNjyGaxYGRMpKUZLdcm"


def psp_id(reference: str) -> str:
    return f"pi_{hashlib.md5(reference.encode()).hexdigest()[:24]}"


def refund_id(call: Call) -> str:
    return f"re_{hashlib.md5(call.reference.encode()).hexdigest()[:24]}"


def wire(call: Call) -> int:
    sent = amounts.sent(call)
    assert sent is not None
    return sent


def http_response(status: int, body: Any, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return payloads.http_response(status, body, {"request-id": "req_8HIEyhA0BxbOTm", **named})


def intent(call: Call, status: str, **more: Any) -> dict[str, Any]:
    """Of an authorization or a sale."""
    sent = wire(call)
    return payloads.intent(
        status,
        **{
            "id": psp_id(call.reference),
            "amount": sent,
            "amount_capturable": sent if status == "requires_capture" else 0,
            "amount_received": sent if status == "succeeded" else 0,
            "currency": call.currency.lower(),
            "metadata": {"order_ref": call.reference},
            **more,
        },
    )


def target(call: Call, status: str, received: int, **tags: str) -> dict[str, Any]:
    """The intent that a capture or a void acts on."""
    assert call.target_reference is not None
    held = replace(
        call, kind="authorize", reference=call.target_reference, amount_minor=call.target_minor or 0
    )
    left = wire(held) - received if status == "requires_capture" else 0
    tagged = {"order_ref": call.target_reference, **tags}
    known = {"id": call.target_psp_id, "metadata": tagged}
    return intent(held, status, **known, amount_received=received, amount_capturable=left)


def refund(call: Call, status: str, **more: Any) -> dict[str, Any]:
    return payloads.refund(
        status,
        **{
            "id": refund_id(call),
            "amount": wire(call),
            "currency": call.currency.lower(),
            "metadata": {"order_ref": call.reference},
            "payment_intent": call.target_psp_id,
            **more,
        },
    )


def approved(call: Call) -> dict[str, Any]:
    match call.kind:
        case "authorize":
            return intent(call, "requires_capture")
        case "sale":
            return intent(call, "succeeded")
        case "capture":
            tag = {f"op_{call.reference.rpartition('-')[2]}": str(wire(call))}
            return target(call, "succeeded", wire(call), **tag)
        case "void":
            return target(call, "canceled", 0)
        case "refund":
            return refund(call, "succeeded")


def declined(decline_code: str, **more: Any) -> Respond:
    def respond(call: Call) -> HttpResponse:
        why = {"code": "card_declined", "decline_code": decline_code, "message": "Your card was declined."}
        error = {"type": "card_error", **why, **more}
        shown = intent(call, "requires_payment_method", last_payment_error=error)
        return http_response(402, {"error": error | {"payment_intent": shown}})

    return respond


def issuer(code: Any, advice: Any) -> tuple[Call, HttpResponse]:
    call = _ASKED["authorize"]
    return call, declined("generic_decline", network_decline_code=code, network_advice_code=advice)(call)


def challenged(call: Call) -> HttpResponse:
    action = {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": "https://hooks.stripe.com/3ds", "return_url": ""},
    }
    return http_response(200, intent(call, "requires_action", next_action=action))


def error(status: int, kind: str = "invalid_request_error", **more: Any) -> HttpResponse:
    return http_response(status, payloads.error(kind, **more))


_REFUSED: Final[Mapping[Result, Cell]] = {
    "NOT_SENT": lambda _: error(400, code="parameter_invalid_integer", param="amount"),
    "CONFIG": lambda _: error(401, message="Invalid API Key provided: sk_test_****zdp7dc"),
    "DUPLICATE": lambda _: error(400, "idempotency_error"),
    "UNKNOWN": lambda _: error(500, "api_error"),
}
_TAKING: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: http_response(200, approved(call)),
    "ACTION_REQUIRED": challenged,
    "PENDING": lambda call: http_response(200, intent(call, "processing")),
    "DECLINED_SOFT": declined("insufficient_funds"),
    "DECLINED_HARD": declined("lost_card"),
    **_REFUSED,
}
_CAPTURE: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: http_response(200, approved(call)),
    "ACTION_REQUIRED": Without("a capture asks nothing of the customer"),
    "PENDING": Without("Stripe captures a card's money at once"),
    "DECLINED_SOFT": lambda _: error(402, "card_error", code="processing_error"),
    "DECLINED_HARD": lambda _: error(400, code="charge_expired_for_capture"),
    **_REFUSED,
}
_VOID: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: http_response(200, approved(call)),
    "ACTION_REQUIRED": Without("a void asks nothing of the customer"),
    "PENDING": Without("Stripe releases at once"),
    "DECLINED_SOFT": Without("no issuer declines a void"),
    "DECLINED_HARD": Without("no issuer declines a void"),
    **_REFUSED,
}
_REFUND: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: http_response(200, approved(call)),
    "ACTION_REQUIRED": Without("what Stripe asks the customer for, it asks by itself: PENDING"),
    "PENDING": lambda call: http_response(200, refund(call, "pending")),
    "DECLINED_SOFT": Without("a refund that failed has failed for good"),
    "DECLINED_HARD": lambda call: http_response(
        200, refund(call, "failed", failure_reason="expired_or_canceled_card")
    ),
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


def one_intent(call: Call, executed: Sequence[Call]) -> HttpResponse:
    """By its id: of an authorization or a sale its own, which is there or not; of a capture or void its
    target's."""
    if executed:
        return http_response(200, approved(executed[0]))
    if call.kind in {"authorize", "sale"}:
        return error(404, code="resource_missing")
    return http_response(200, target(call, "requires_capture", 0))


def searched(_: Call, executed: Sequence[Call]) -> HttpResponse:
    found = [intent(one, "succeeded" if one.kind == "sale" else "requires_capture") for one in executed]
    return http_response(
        200, payloads.search(*(one | {"id": f"{one['id']}{i}"} for i, one in enumerate(found)))
    )


def one_refund(_: Call, executed: Sequence[Call]) -> HttpResponse:
    return (
        http_response(200, refund(executed[0], "succeeded"))
        if executed
        else error(404, code="resource_missing")
    )


def listed(_: Call, executed: Sequence[Call]) -> HttpResponse:
    shown = [refund(one, "succeeded", id=f"{refund_id(one)}{i}") for i, one in enumerate(executed)]
    return http_response(200, payloads.listed(*shown))


_NO_OBJECT: Final = Without("a capture or void has no object of its own: the intent is read")
_NO_TWO: Final = Without("one intent is read, and it shows each capture once")


def signed(call: Call, now: datetime, secret: str) -> Webhook:
    kind = "refund.updated" if call.kind == "refund" else "payment_intent.succeeded"
    body = json.dumps(
        {
            "id": f"evt_{hashlib.md5(call.reference.encode()).hexdigest()[:24]}",
            "object": "event",
            "type": kind if call.kind != "authorize" else "payment_intent.amount_capturable_updated",
            "created": int(now.timestamp()),
            "livemode": False,
            "data": {"object": approved(call)},
            "request": {"id": None, "idempotency_key": call.key},
        }
    ).encode()
    stamp = str(int(now.timestamp()))
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return Webhook(
        {"stripe-signature": f"t={stamp},v1={mac},v0=6ffbb59b2300aae63f27240606", "host": "x"}, body
    )


async def at_the_bank(browser: aiohttp.ClientSession, page: str) -> dict[str, str]:
    async with browser.post(page, data={"result": "pass"}, allow_redirects=False) as back:
        return dict(parse_qsl(urlsplit(back.headers["Location"]).query))


_SIMULATED: Final = Simulated(
    psp=PSP,
    account=Account(
        "stripe", "stripe", SECRET, options={"multicapture": "true"}, webhook_secret=WEBHOOK_SECRET
    ),
    tokens={
        "approved": "pm_card_visa",
        "declined_soft": "pm_card_visa_chargeDeclinedInsufficientFunds",
        "declined_hard": "pm_card_visa_chargeDeclinedLostCard",
        "challenged": "pm_card_threeDSecure2Required",
    },
    customer=at_the_bank,
    keys=WebhookKeys((WEBHOOK_SECRET,), {}),
)


def _written(request: HttpRequest) -> str | None:
    form = parse_qs((request.body or b"").decode())
    return next((form[name][0] for name in ("amount", "amount_to_capture") if name in form), None)


_KEYS: Final[Mapping[Any, Cell]] = {
    "replayed": lambda call: http_response(200, approved(call), idempotent_replayed="true"),
    "other_parameters": lambda _: error(400, "idempotency_error"),
    "still_running": lambda _: error(409, code="idempotency_key_in_use"),
}
_BY_INTENT: Final[Mapping[Any, Shows | Without]] = {"by_id": one_intent, "by_reference": searched}
_BY_TARGET: Final[Mapping[Any, Shows | Without]] = {"by_id": _NO_OBJECT, "by_reference": one_intent}
_BY_REFUND: Final[Mapping[Any, Shows | Without]] = {"by_id": one_refund, "by_reference": listed}
_ASKED: Final = calls("pm_card_visa", psp_id)
_CANCEL: Final = {"step": "x", "psp_id": psp_id(_ASKED["sale"].reference)}

BOOK: Final = CaseBook(
    gateway=Stripe(),
    credentials=Credentials("https://api.stripe.com", SECRET),
    calls=_ASKED,
    responses=SAYS,
    psp_id=lambda reference: (
        psp_id(reference) if "-r" not in reference else psp_id(reference).replace("pi", "re")
    ),
    amounts={
        (1099, "USD"): "1099",
        (500, "JPY"): "500",
        (5120, "KWD"): "5120",
        (5124, "KWD"): Without("the last digit of a three-decimal amount has to be 0"),
        (1230, "TND"): "1230",
        (5, "ISK"): "500",
        (1045, "HUF"): "1045",
        (1000, "HUF"): "1000",
        (80000, "TWD"): "80000",
        (1000, "CLP"): "1000",
        (5, "UGX"): Without("Stripe's pages contradict themselves: an account has to switch it on"),
        (1500000, "IDR"): "1500000",
    },
    written=_written,
    key_of=lambda request: request.headers.get("Idempotency-Key"),
    keys=dict.fromkeys(SAYS, _KEYS),
    looks={
        "authorize": _BY_INTENT,
        "sale": _BY_INTENT,
        "capture": _BY_TARGET,
        "capture_part": _BY_TARGET,
        "void": _BY_TARGET,
        "refund": _BY_REFUND,
        "refund_part": _BY_REFUND,
    },
    twice={
        **dict.fromkeys(("authorize", "sale"), searched),
        **dict.fromkeys(("capture", "capture_part", "void"), _NO_TWO),
        **dict.fromkeys(("refund", "refund_part"), listed),
    },
    cancels={
        "ended": On(
            lambda call: http_response(200, intent(call, "canceled", cancellation_reason="abandoned")),
            _CANCEL,
        ),
        "was_approved": On(
            lambda call: http_response(400, payloads.unfit(approved(call))),
            _CANCEL,
        ),
        "refused": On(lambda _: error(400, code="resource_missing"), _CANCEL),
    },
    unseen={},
    keyless={},
    error_in_200=http_response(200, payloads.error(code="card_declined")),
    error_in_200_is=frozenset({"UNKNOWN"}),
    too_many=error(429, code="rate_limit"),
    error_saying=lambda text: error(400, code="parameter_unknown", message=text),
    oracle=ORACLE,
    webhooks=shared_secret(
        signed,
        WEBHOOK_SECRET,
        f"whsec_{PLANTED}another5WbX5kEWLlfzsGNjyGaxYGRM",
        sign=lambda body: Webhook(webhooks.headers(body, WEBHOOK_SECRET, NOW), body),
        events=EVENTS,
        expires=True,
    ),
    simulator=_SIMULATED,
    issuer=issuer,
)
