"""Razorpay's case book."""

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import aiohttp
import orjson

from gateways.contract import Call, Credentials, HttpResponse, Webhook, WebhookKeys
from gateways.razorpay import amounts, responses
from gateways.razorpay.adapter import Razorpay
from gateways.simulator.core.accounts import Account
from gateways.simulator.razorpay.declaration import PSP
from tests.gateways.conformance.book import CaseBook, Cell, On, Respond, Shows, Simulated
from tests.gateways.conformance.calls import PAYMENT, calls
from tests.gateways.conformance.cases import OTHERS, PLANTED, Operation, Result, Without
from tests.gateways.conformance.webhooks import shared_secret
from tests.gateways.razorpay import payloads
from tests.gateways.razorpay.oracle import EVENTS, ORACLE

SECRET: Final = f"{PLANTED}sJSUnUGwEbEcVZqJcRwsDB5"
WEBHOOK_SECRET: Final = f"{PLANTED}-webhook-secret"
_FIELD: Final = re.compile(r"name='([^']*)' value='([^']*)'")


def _id(prefix: str, reference: str) -> str:
    return f"{prefix}_{hashlib.md5(reference.encode()).hexdigest()[:14]}"


def psp_id(reference: str) -> str:
    return _id("rfnd" if "-r" in reference else "pay", reference)


def order_id(reference: str) -> str:
    return _id("order", reference)


def money(call: Call) -> dict[str, Any]:
    return {"amount": amounts.sent(call), "currency": call.currency}


def order(call: Call, *payments: Any) -> dict[str, Any]:
    paid = {"payments": payloads.listed(*payments)} if payments else {}
    return payloads.order(call, id=order_id(call.reference), **money(call), **paid)


def payment(call: Call, status: str, **more: Any) -> dict[str, Any]:
    """Of an authorization or a sale."""
    known = {"id": psp_id(call.reference), "order_id": order_id(call.reference), **money(call)}
    return payloads.payment(status, call, **(known | more))


def target(call: Call, status: str) -> dict[str, Any]:
    assert call.target_reference is not None
    sum_ = call.target_minor or call.amount_minor
    held = replace(call, kind="authorize", reference=call.target_reference, amount_minor=sum_)
    return payment(held, status, id=call.target_psp_id)


def refund(call: Call, status: str, **more: Any) -> dict[str, Any]:
    known = {
        "id": psp_id(call.reference),
        "payment_id": call.target_psp_id,
        "notes": payloads.notes(call),
        "receipt": call.reference,
        **money(call),
    }
    return payloads.refund(status, **(known | more))


def approved(call: Call) -> dict[str, Any]:
    match call.kind:
        case "refund":
            return refund(call, "processed")
        case "capture":
            return target(call, "captured")
        case kind:
            return payment(call, "authorized" if kind == "authorize" else "captured")


def prepared(*actions: Any) -> Respond:
    return lambda call: payloads.http_response(
        200, {"razorpay_payment_id": psp_id(call.reference)} | ({"next": list(actions)} if actions else {})
    )


def error(status: int, reason: str | None = "NA", **more: Any) -> Respond:
    return lambda _: payloads.http_response(status, payloads.error(reason, **more))


def refused(reason: str) -> Respond:
    return lambda call: payloads.http_response(400, payloads.error(reason, of=psp_id(call.reference)))


def at(cell: Respond, step: str, operation: str) -> On:
    return On(cell, {"step": step, "psp_id": order_id(f"{PAYMENT}-{operation}")})


_REFUSED: Final[Mapping[Result, Cell]] = {
    "NOT_SENT": error(400, "input_validation_failed", field="amount"),
    "CONFIG": error(401, description="Authentication failed"),
    "UNKNOWN": error(500, "server_error", code="SERVER_ERROR"),
}
_SALE: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(200, approved(call)),
    "ACTION_REQUIRED": at(prepared(payloads.REDIRECT), "2", "s1"),
    "PENDING": at(prepared(), "2", "s1"),
    "DECLINED_SOFT": at(refused("card_declined"), "2", "s1"),
    "DECLINED_HARD": at(refused("card_expired"), "2", "s1"),
    "DUPLICATE": error(400, description="This payment has already been captured"),
    **_REFUSED,
    "NOT_SENT": error(429, description="Too many requests"),  # any other refusal may say that it was captured
}
_AUTHORIZE: Final[Mapping[Result, Cell]] = {
    "APPROVED": Without(
        "a payment only begins with this call: its bank authorizes later, which is looked up"
    ),
    "ACTION_REQUIRED": prepared(payloads.REDIRECT),
    "PENDING": prepared(),
    "DECLINED_SOFT": refused("card_declined"),
    "DECLINED_HARD": refused("card_expired"),
    "DUPLICATE": error(400, "order_already_paid"),
    **_REFUSED,
}
_CAPTURE: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(200, approved(call)),
    "ACTION_REQUIRED": Without("a capture asks nothing of the customer"),
    "PENDING": Without("Razorpay captures what is authorized at once"),
    "DECLINED_SOFT": Without("no bank declines the capture of what it has authorized"),
    "DECLINED_HARD": Without("no bank declines the capture of what it has authorized"),
    "DUPLICATE": error(400, description="This payment has already been captured"),
    **_REFUSED,
    "NOT_SENT": error(429, description="Too many requests"),  # any other refusal may say that it was captured
}
_REFUND: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(200, approved(call)),
    "ACTION_REQUIRED": Without("a refund asks nothing of the customer"),
    "PENDING": lambda call: payloads.http_response(200, refund(call, "pending")),
    "DECLINED_SOFT": Without("a refund that failed has failed for good"),
    "DECLINED_HARD": lambda call: payloads.http_response(200, refund(call, "failed")),
    "DUPLICATE": error(400, description="Different request with the same idempotency key was made"),
    **_REFUSED,
}


def by_receipt(call: Call, executed: Sequence[Call]) -> HttpResponse:
    return payloads.http_response(200, payloads.listed(*(order(one, approved(one)) for one in executed)))


def paid_twice(_: Call, executed: Sequence[Call]) -> HttpResponse:
    shown = [approved(one) | {"id": f"{psp_id(one.reference)}{i}"} for i, one in enumerate(executed)]
    return payloads.http_response(200, payloads.listed(order(executed[0], *shown)))


def one_payment(call: Call, executed: Sequence[Call]) -> HttpResponse:
    if responses.is_id(call.psp_id, "order_"):
        return payloads.http_response(200, payloads.listed(*(payment(one, "authorized") for one in executed)))
    if executed:
        return payloads.http_response(200, approved(executed[0]))
    if call.kind == "authorize":
        return payloads.http_response(400, payloads.error(description="The id provided does not exist"))
    return payloads.http_response(
        200, target(call, "authorized") if call.kind == "capture" else payment(call, "authorized")
    )


def one_refund(_: Call, executed: Sequence[Call]) -> HttpResponse:
    if not executed:
        return payloads.http_response(400, payloads.error(description="The id provided does not exist"))
    return payloads.http_response(200, approved(executed[0]))


def listed(_: Call, executed: Sequence[Call]) -> HttpResponse:
    shown = [refund(one, "processed", id=f"{psp_id(one.reference)}{i}") for i, one in enumerate(executed)]
    return payloads.http_response(200, payloads.listed(*shown))


def signed(call: Call, now: datetime, secret: str) -> Webhook:
    entity = approved(call)
    if call.kind == "refund":
        body = payloads.event("refund.processed", refund=entity)
    else:
        body = payloads.event(f"payment.{entity['status']}", payment=entity)
    return payloads.webhook(body, secret, _id("evt", call.reference))


async def at_the_bank(browser: aiohttp.ClientSession, page: str) -> dict[str, str]:
    async with browser.post(page, data={"otp": "123456"}) as response:
        fields = _FIELD.findall(await response.text())
    return {html.unescape(name): html.unescape(value) for name, value in fields}


_SIMULATED: Final = Simulated(
    psp=PSP,
    account=Account("razorpay", "razorpay", SECRET, payloads.KEY_ID, webhook_secret=WEBHOOK_SECRET),
    tokens={
        "approved": "token_frictionless",
        "declined_soft": "token_card_declined",
        "declined_hard": "token_card_expired",
        "challenged": "token_visa",
    },
    customer=at_the_bank,
    keys=WebhookKeys((WEBHOOK_SECRET,), {}),
)
_ASKED: Final[dict[Operation, Call | Without]] = {
    **calls("token_4lsdksD31GaZ09", psp_id),
    "capture_part": Without("Razorpay captures all that was authorized"),
    "void": Without("Razorpay has no void: what is not captured it refunds itself"),
}
_FIRST: Final = On(lambda call: payloads.http_response(200, order(call)), {"step": "1", "psp_id": None})
_BEGUN: Final = On(
    lambda call: payloads.http_response(200, payloads.listed(payment(call, "authorized"))),
    {"step": "2", "psp_id": order_id(f"{PAYMENT}-s1")},
    lookup=True,
)


def _at_its_step(operation: Operation, call: Call | Without) -> Call | Without:
    if isinstance(call, Without):
        return call
    if operation == "authorize":
        return replace(call, step="2", psp_id=order_id(call.reference))
    return replace(call, step="3", psp_id=psp_id(call.reference)) if operation == "sale" else call


_NO_KEY: Final = Without("Razorpay has no idempotency key but for refunds: it is sent once, and then queried")
_REFUND_KEYS: Final[Mapping[Any, Cell]] = {
    "replayed": lambda call: payloads.http_response(200, approved(call)),
    "other_parameters": error(400, description="Different request with the same idempotency key was made"),
    "still_running": error(409, description="Request with this idempotency key is in progress"),
}
_TAKEN: Final[Mapping[Any, Shows | Without]] = {"by_id": one_payment, "by_reference": by_receipt}
_REFUNDED: Final[Mapping[Any, Shows | Without]] = {"by_id": one_refund, "by_reference": listed}
_BEGINS: Final = Without(
    "the response to a payment's first call has the payment's own id only: the lookup goes by the order's"
)
_NO_CANCEL: Final = Without("nothing is taken without our capture, so there is nothing to cancel at Razorpay")

BOOK: Final = CaseBook(
    gateway=Razorpay(),
    credentials=Credentials("https://api.razorpay.com", SECRET, payloads.OPTIONS),
    calls={operation: _at_its_step(operation, call) for operation, call in _ASKED.items()},
    responses={
        "authorize": _AUTHORIZE,
        "sale": _SALE,
        "capture": _CAPTURE,
        "refund": _REFUND,
        "refund_part": _REFUND,
    },
    psp_id=psp_id,
    amounts={
        (1099, "USD"): "1099",
        (500, "JPY"): "500",
        (5120, "KWD"): "5120",
        (5124, "KWD"): Without("the last digit of a three-decimal amount has to be 0"),
        (1230, "TND"): "1230",
        (5, "ISK"): "5",
        (1045, "HUF"): "1045",
        (1000, "HUF"): "1000",
        (80000, "TWD"): Without("how Razorpay writes TWD is not confirmed: an account has to switch it on"),
        (1000, "CLP"): "1000",
        (5, "UGX"): "5",
        (1500000, "IDR"): Without("how Razorpay writes IDR could not be confirmed"),
    },
    written=lambda request: str(orjson.loads(request.body or b"")["amount"]),
    key_of=lambda request: request.headers.get("X-Refund-Idempotency"),
    keys={
        **dict.fromkeys(("authorize", "sale", "capture"), _NO_KEY),
        **dict.fromkeys(("refund", "refund_part"), _REFUND_KEYS),
    },
    looks={
        **dict.fromkeys(("authorize", "sale"), _TAKEN),
        "capture": {
            "by_id": Without("a capture has no id: its payment is read"),
            "by_reference": one_payment,
        },
        **dict.fromkeys(("refund", "refund_part"), _REFUNDED),
    },
    twice={
        **dict.fromkeys(("authorize", "sale"), paid_twice),
        "capture": Without("one payment is read, and it is captured once"),
        **dict.fromkeys(("refund", "refund_part"), listed),
    },
    cancels=dict.fromkeys(("ended", "was_approved", "refused"), _NO_CANCEL),
    unseen={("authorize", what): _BEGINS for what in OTHERS},
    keyless={},
    error_in_200=payloads.http_response(200, payloads.error("card_declined", of="pay_29QQoUBi66xm2f")),
    error_in_200_is=frozenset({"UNKNOWN", "DUPLICATE"}),
    too_many=payloads.http_response(429, payloads.error(description="Too many requests")),
    error_saying=lambda text: payloads.http_response(400, payloads.error(description=text)),
    oracle=ORACLE,
    webhooks=shared_secret(
        signed,
        WEBHOOK_SECRET,
        f"{PLANTED}-another-webhook-secret",
        sign=lambda body: payloads.webhook(body, WEBHOOK_SECRET),
        events=EVENTS,
        expires=Without("its signature covers no time: repeats are known by their event id"),
    ),
    simulator=_SIMULATED,
    issuer=Without("Razorpay names reasons of its own, and no code of the issuer's"),
    before={"authorize": (_FIRST,), "sale": (_FIRST, _BEGUN)},
    id_at=lambda call: (order_id if call.step == "2" else psp_id)(call.reference),
)
