"""PayPal's case book."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson

from gateways.contract import Call, Credentials, HttpRequest, HttpResponse, Webhook
from gateways.paypal import amounts, names
from gateways.paypal.adapter import PayPal
from gateways.simulator.core.accounts import Account
from gateways.simulator.paypal.declaration import PSP
from tests.gateways.conformance.book import CaseBook, Cell, On, Respond, Shows, Simulated
from tests.gateways.conformance.calls import calls
from tests.gateways.conformance.cases import PLANTED, Operation, Result, Without
from tests.gateways.conformance.webhooks import Webhooks, without_headers
from tests.gateways.paypal import payloads, signing
from tests.gateways.paypal.oracle import EVENTS, ORACLE

SECRET: Final = f"{PLANTED}-EO422dn3gQLgDbuwqTjzrFgFtaRLRR5BdHEESmha49TM"
TOKEN: Final = f"A21AA{PLANTED}FEpH4PsADK7qSS7pSRsgzfENtu"
_PARTS: Final[Mapping[str, names.Part]] = {
    "a": "authorizations",
    "s": "captures",
    "c": "captures",
    "v": "authorizations",
    "r": "refunds",
}


def _id(what: str) -> str:
    return f"X{hashlib.md5(what.encode()).hexdigest()[:16].upper()}"


def order_id(reference: str) -> str:
    return _id(reference.partition("-")[0])


def psp_id(reference: str) -> str:
    return names.inside(order_id(reference), _PARTS[reference.partition("-")[2][0]], _id(reference))


def money(call: Call, minor: int | None = None) -> dict[str, str]:
    return amounts.to_wire(call.amount_minor if minor is None else minor, call.currency)


def order(call: Call, status: str, **payments: Any) -> dict[str, Any]:
    """Of an authorization or a sale."""
    shown = payloads.order(status, call, **payments)
    unit = shown["purchase_units"][0] | {"amount": money(call)}
    page = f"https://www.paypal.com/checkoutnow?token={order_id(call.reference)}"
    links = [link | {"href": page} for link in shown["links"]]
    return shown | {"id": order_id(call.reference), "purchase_units": [unit], "links": links}


def own(call: Call, status: str, **more: Any) -> dict[str, Any]:
    """What a call makes: an authorization, a capture or a refund."""
    known: dict[str, Any] = {"id": _id(call.reference), "amount": money(call)}
    match call.kind:
        case "authorize":
            return payloads.authorization(status, **known, **_ours(call), **more)
        case "sale":
            return payloads.taken(status, **known, **_ours(call), **more)
        case "capture":
            ids = {"order_id": order_id(call.reference), "authorization_id": _target(call)}
            related: dict[str, Any] = {"supplementary_data": {"related_ids": ids}}
            return payloads.capture(
                status, **known, **_ours(call), custom_id=call.target_reference, **related, **more
            )
        case _:
            return payloads.refund(status, **known, **_ours(call), **more)


def _ours(call: Call) -> dict[str, Any]:
    named = {"invoice_id": call.reference}
    return named if call.kind == "capture" else named | {"custom_id": call.reference}


def _target(call: Call) -> str | None:
    known = names.read(call.target_psp_id)
    return None if known is None else known.id


def held(call: Call, status: str) -> dict[str, Any]:
    """The authorization that a void or a capture acts on."""
    reference = call.target_reference
    known: dict[str, Any] = {"id": _target(call), "amount": money(call, call.target_minor)}
    return payloads.authorization(status, **known, custom_id=reference, invoice_id=reference)


def approved(call: Call) -> dict[str, Any]:
    match call.kind:
        case "authorize":
            return order(call, "COMPLETED", authorizations=[own(call, "CREATED")])
        case "sale":
            return order(call, "COMPLETED", captures=[own(call, "COMPLETED")])
        case "void":
            return held(call, "VOIDED")
        case _:
            return own(call, "COMPLETED")


def issue(status: int, code: str) -> Respond:
    return lambda _: payloads.http_response(status, payloads.issue(code))


def challenged(call: Call) -> HttpResponse:
    page = f"https://www.paypal.com/checkoutnow?token={order_id(call.reference)}"
    return payloads.http_response(
        422, payloads.issue("PAYER_ACTION_REQUIRED", links=[payloads.link("payer-action", page)])
    )


def pending(call: Call) -> HttpResponse:
    waiting = own(call, "PENDING", status_details={"reason": "PENDING_REVIEW"})
    if call.kind in {"authorize", "sale"}:
        part = "authorizations" if call.kind == "authorize" else "captures"
        return payloads.http_response(201, order(call, "COMPLETED", **{part: [waiting]}))
    return payloads.http_response(201, waiting)


_REFUSED: Final[Mapping[Result, Cell]] = {
    "NOT_SENT": issue(400, "INVALID_PARAMETER_SYNTAX"),
    "CONFIG": issue(403, "PERMISSION_DENIED"),
    "UNKNOWN": issue(500, "INTERNAL_SERVER_ERROR"),
}
_TAKING: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(201, approved(call)),
    "ACTION_REQUIRED": challenged,
    "PENDING": pending,
    "DECLINED_SOFT": issue(422, "INSTRUMENT_DECLINED"),
    "DECLINED_HARD": issue(422, "CARD_EXPIRED"),
    "DUPLICATE": issue(422, "DUPLICATE_INVOICE_ID"),
    **_REFUSED,
}
_CAPTURE: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(201, approved(call)),
    "ACTION_REQUIRED": Without("a capture asks nothing of the payer"),
    "PENDING": pending,
    "DECLINED_SOFT": lambda call: payloads.http_response(
        201, own(call, "DECLINED", processor_response={"response_code": "5120"})
    ),
    "DECLINED_HARD": lambda call: payloads.http_response(
        201, own(call, "DECLINED", processor_response={"response_code": "5180"})
    ),
    "DUPLICATE": issue(422, "AUTHORIZATION_ALREADY_CAPTURED"),
    **_REFUSED,
}
_VOID: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(200, approved(call)),
    "ACTION_REQUIRED": Without("a void asks nothing of the payer"),
    "PENDING": Without("PayPal releases what is authorized at once"),
    "DECLINED_SOFT": Without("nobody declines the release of what is held"),
    "DECLINED_HARD": Without("nobody declines the release of what is held"),
    "DUPLICATE": issue(422, "PREVIOUSLY_CAPTURED"),
    **_REFUSED,
}
_REFUND: Final[Mapping[Result, Cell]] = {
    "APPROVED": lambda call: payloads.http_response(201, approved(call)),
    "ACTION_REQUIRED": Without("a refund asks nothing of the payer"),
    "PENDING": pending,
    "DECLINED_SOFT": Without("a refund that failed has failed for good"),
    "DECLINED_HARD": lambda call: payloads.http_response(201, own(call, "FAILED")),
    "DUPLICATE": issue(422, "CAPTURE_FULLY_REFUNDED"),
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


def _numbered(executed: Sequence[Call], status: str) -> list[dict[str, Any]]:
    return [own(one, status) | {"id": f"{_id(one.reference)[:-1]}{i}"} for i, one in enumerate(executed)]


def issuer(code: Any, advice: Any) -> tuple[Call, HttpResponse]:
    call = BOOK.call("capture")
    shown = {"response_code": code, "payment_advice_code": advice}
    return call, payloads.http_response(201, own(call, "DECLINED", processor_response=shown))


def own_order(call: Call, executed: Sequence[Call]) -> HttpResponse:
    if not executed:
        return payloads.http_response(200, order(call, "CREATED"))
    first, of_holds = executed[0], call.kind == "authorize"
    rows = _numbered(executed, "CREATED" if of_holds else "COMPLETED")
    return payloads.http_response(
        200, order(first, "COMPLETED", **{"authorizations" if of_holds else "captures": rows})
    )


def targets_order(call: Call, executed: Sequence[Call]) -> HttpResponse:
    one = executed[0] if executed else call
    assert one.target_reference is not None
    kind: Any = "sale" if one.kind == "refund" else "authorize"
    first = replace(one, kind=kind, reference=one.target_reference, amount_minor=one.target_minor or 0)
    rows = _numbered(executed, "COMPLETED") if one.kind != "void" else []
    payments: dict[str, list[Any]] = {"refunds": rows, "captures": [own(first, "COMPLETED")]}
    if kind == "authorize":
        status = "VOIDED" if one.kind == "void" and executed else "CREATED"
        payments = {"captures": rows, "authorizations": [own(first, status)]}
    return payloads.http_response(200, order(first, "COMPLETED", **payments))


def _event(call: Call) -> dict[str, Any]:
    names_ = {"authorize": "PAYMENT.AUTHORIZATION.CREATED", "void": "PAYMENT.AUTHORIZATION.VOIDED"}
    kind = names_.get(
        call.kind, "PAYMENT.CAPTURE.REFUNDED" if call.kind == "refund" else "PAYMENT.CAPTURE.COMPLETED"
    )
    related = {"supplementary_data": {"related_ids": {"order_id": order_id(call.reference)}}}
    done = (
        held(call, "VOIDED")
        if call.kind == "void"
        else own(call, "CREATED" if call.kind == "authorize" else "COMPLETED")
    )
    return {
        "id": f"WH-{_id(call.reference)}",
        "event_version": "1.0",
        "create_time": "2026-11-25T11:59:58.000Z",
        "resource_type": "capture",
        "event_type": kind,
        "resource": related | done,
    }


def signed(call: Call, now: datetime) -> Webhook:
    return signing.signed(_event(call), sent_at=now)


_KEYS: Final[Mapping[Any, Cell]] = {
    "replayed": lambda call: payloads.http_response(200, approved(call)),
    "other_parameters": issue(422, "DUPLICATE_REQUEST_ID"),
    "still_running": issue(409, "PREVIOUS_REQUEST_IN_PROGRESS"),
}
_OWN: Final[Mapping[Any, Shows | Without]] = {
    "by_id": own_order,
    "by_reference": Without("PayPal cannot be searched: an order's id is kept before anything is taken"),
}
_TARGETS: Final[Mapping[Any, Shows | Without]] = {
    "by_id": Without("captures, voids and refunds are read in the order that they belong to"),
    "by_reference": targets_order,
}
_ASKED: Final[dict[Operation, Call | Without]] = {**calls("card:8kk8451t", psp_id)}


def _second(call: Call | Without) -> Call:
    assert isinstance(call, Call)
    return replace(call, step="2", psp_id=names.order(order_id(call.reference)))


def _written(request: HttpRequest) -> str | None:
    body = orjson.loads(request.body or b"{}")
    amount = body.get("purchase_units", [body])[0].get("amount")
    return None if amount is None else str(amount["value"])


async def at_paypal(browser: aiohttp.ClientSession, page: str) -> dict[str, str]:
    async with browser.post(page, data={"result": "approve"}, allow_redirects=False) as back:
        return dict(parse_qsl(urlsplit(back.headers["Location"]).query))


_SIMULATED: Final = Simulated(
    psp=PSP,
    account=Account(
        "paypal",
        "paypal",
        SECRET,
        payloads.CREDENTIALS.options["client_id"],
        {"webhook_id": signing.WEBHOOK_ID},
    ),
    tokens={
        "approved": "card:sim_ok",
        "declined_soft": "card:sim_issue_INSTRUMENT_DECLINED",
        "declined_hard": "card:sim_issue_CARD_EXPIRED",
        "challenged": "card:sim_3ds",
    },
    customer=at_paypal,
    keys=Without("the certificate of a webhook is fetched by the door that it comes to"),
)
_FIRST: Final = On(
    lambda call: payloads.http_response(201, order(call, "CREATED")), {"step": "1", "psp_id": None}
)
_NO_CANCEL: Final = Without("PayPal has no call that ends an order: without our next step it lapses")
_MORE_WAS_HELD: Final = Without("a void names what was authorized, of which a part may have been captured")

BOOK: Final = CaseBook(
    gateway=PayPal(),
    credentials=Credentials(
        "https://api-m.sandbox.paypal.com",
        SECRET,
        payloads.CREDENTIALS.options,
        TOKEN,
    ),
    calls=_ASKED | {"authorize": _second(_ASKED["authorize"]), "sale": _second(_ASKED["sale"])},
    responses=SAYS,
    psp_id=psp_id,
    amounts={
        (1099, "USD"): "10.99",
        (500, "JPY"): "500",
        (5120, "KWD"): Without("PayPal takes no currency with three decimals"),
        (5124, "KWD"): Without("PayPal takes no currency with three decimals"),
        (1230, "TND"): Without("PayPal takes no currency with three decimals"),
        (5, "ISK"): Without("not among the currencies that PayPal takes"),
        (1045, "HUF"): Without("PayPal takes HUF without decimals only"),
        (1000, "HUF"): "10",
        (80000, "TWD"): "800",
        (1000, "CLP"): Without("not among the currencies that PayPal takes"),
        (5, "UGX"): Without("not among the currencies that PayPal takes"),
        (1500000, "IDR"): Without("not among the currencies that PayPal takes"),
    },
    written=_written,
    key_of=lambda request: request.headers.get("PayPal-Request-Id"),
    keys=dict.fromkeys(SAYS, _KEYS)
    | {
        "void": {
            "replayed": issue(422, "PREVIOUSLY_VOIDED"),
            "other_parameters": Without("a void has no key, and no parameters that could be others"),
            "still_running": issue(409, "PREVIOUS_REQUEST_IN_PROGRESS"),
        }
    },
    looks={
        **dict.fromkeys(("authorize", "sale"), _OWN),
        **dict.fromkeys(("capture", "capture_part", "void", "refund", "refund_part"), _TARGETS),
    },
    twice={
        **dict.fromkeys(("authorize", "sale"), own_order),
        **dict.fromkeys(("capture", "capture_part", "refund", "refund_part"), targets_order),
        "void": Without("one authorization is read, and it is voided once"),
    },
    cancels=dict.fromkeys(("ended", "was_approved", "refused"), _NO_CANCEL),
    unseen={("void", "more"): _MORE_WAS_HELD},
    keyless={
        "void": Without("PayPal takes no key here: the response to a second void is that it was done before")
    },
    error_in_200=payloads.http_response(200, payloads.issue("INSTRUMENT_DECLINED")),
    error_in_200_is=frozenset({"UNKNOWN"}),
    too_many=payloads.http_response(429, payloads.issue("RATE_LIMIT_REACHED")),
    error_saying=lambda text: payloads.http_response(
        400, payloads.issue("INVALID_REQUEST") | {"message": text, "details": []}
    ),
    oracle=ORACLE,
    webhooks=Webhooks(
        keys=signing.keys(),
        signed=signed,
        sign=signing.signed,
        events=EVENTS,
        unsigned=without_headers,
        keyless=(replace(signing.keys(), certificate=None), replace(signing.keys(), certificate=b"")),
        exchange=Without(
            "PayPal exchanges its certificate itself: each webhook names the one that it was signed with"
        ),
        expires=True,
    ),
    simulator=_SIMULATED,
    issuer=issuer,
    issuer_codes={"5120": "02", "9500": "21", "00N7": None},
    before={"authorize": (_FIRST,), "sale": (_FIRST,)},
    id_at=lambda call: names.order(order_id(call.reference)) if call.step == "2" else psp_id(call.reference),
    sign_in_response=payloads.http_response(
        200,
        {
            "access_token": TOKEN,
            "token_type": "Bearer",
            "expires_in": 32400,
            "scope": "https://uri.paypal.com/",
        },
    ),
)
