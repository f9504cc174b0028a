"""Judges the outcomes read from Stripe's responses and events, by its reference."""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from commands.notices import Notice
from gateways.contract import Call, HttpResponse
from tests.gateways.conformance.oracle import Oracle
from tests.gateways.conformance.webhooks import Events
from tests.gateways.stripe.payloads import (
    AUTHORIZE,
    CALL,
    INTENT_ID,
    PAYMENT,
    REFERENCE,
    REFUND_ID,
    authorized,
    declined,
    http_response,
    intent,
    later,
    listed,
    refund,
    search,
    unfit,
)
from tests.gateways.stripe.webhooks import charge, dispute, event

LIKELY: Final[list[Any]] = [
    *("succeeded", "requires_capture", "canceled", "failed", "usd", "eur", "400", "699", "1099"),
    *(0, 400, 699, 1099, 1199, True, None, {}, []),
    *(REFERENCE, AUTHORIZE.reference, f"{PAYMENT}-r3", INTENT_ID, "pi_another", "re_another"),
    *({"order_ref": REFERENCE}, {"order_ref": AUTHORIZE.reference, "op_c2": "400"}),
]
CAPTURE, VOID, REFUND = later("capture", 400), later("void", 699), later("refund", 400)
CHALLENGE = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://x"}}
PART = authorized("succeeded", op_c2="400")
OURS = refund(amount=400)

TRUE_ANSWERS: list[tuple[Call, list[Any]]] = [
    (
        CALL,
        [
            intent(),
            intent("requires_action", next_action=CHALLENGE),
            intent("requires_payment_method", last_payment_error={"code": "expired_card"}),
            declined(decline_code="lost_card"),
            unfit(intent()),
            search(intent()),
            search(intent(), intent()),
        ],
    ),
    (AUTHORIZE, [authorized(), authorized("canceled"), PART, unfit(authorized()), search(authorized())]),
    (CAPTURE, [PART, authorized(), authorized("canceled"), unfit(PART), unfit(authorized("canceled"))]),
    (VOID, [PART, authorized(), authorized("canceled", op_c2="400"), unfit(PART)]),
    (REFUND, [OURS, refund("pending"), refund("failed"), listed(OURS), listed(OURS, refund(id="re_b"))]),
]


def _response(body: Any) -> HttpResponse:
    return http_response(402 if "error" in body else 200, body)


def _shows(call: Call, shown: Mapping[str, Any]) -> bool:
    metadata = shown.get("metadata")
    tags = metadata if isinstance(metadata, dict) else {}
    status, amount, requested = shown.get("status"), shown.get("amount"), call.amount_minor
    received, left = shown.get("amount_received"), shown.get("amount_capturable")
    if shown.get("currency") != call.currency.lower():
        return False
    match call.kind:
        case "sale":
            return (tags.get("order_ref"), amount, received, status) == (
                call.reference,
                requested,
                requested,
                "succeeded",
            )
        case "authorize":
            # How much of it was captured since, by whomever, does not change that it was authorized.
            ours = (tags.get("order_ref"), amount) == (call.reference, requested)
            held = status == "requires_capture" and isinstance(received, int) and left == requested - received
            return ours and (held or status in ("succeeded", "canceled"))
        case "refund":
            of = (tags.get("order_ref"), shown.get("payment_intent"))
            return of == (call.reference, call.target_psp_id) and (amount, status) == (requested, "succeeded")
    if (tags.get("order_ref"), shown.get("id")) != (call.target_reference, call.target_psp_id):
        return False
    if call.kind == "capture":
        tag = tags.get(f"op_{call.reference.rpartition('-')[2]}")
        return (tag, received, status) == (str(requested), requested, "succeeded")
    let_go = isinstance(amount, int) and isinstance(received, int) and amount - received == requested
    return left == 0 and let_go and status in ("succeeded", "canceled")


def done(call: Call, shown: Mapping[str, Any]) -> int | None:
    return call.amount_minor if _shows(call, shown) else None


ORACLE: Final = Oracle(
    done=done,
    responses=[(call, [_response(body) for body in bodies]) for call, bodies in TRUE_ANSWERS],
    likely=LIKELY,
    known_as=lambda call: REFUND_ID if call.kind == "refund" else INTENT_ID,
    statuses={"DECLINED": {200, 400, 402}},
    ended=lambda shown: (shown.get("status"), shown.get("amount_received")) == ("canceled", 0),
)


def approves(notice: Notice, body: bytes) -> bool:
    """True if the event's object shows what the notice approves: its reference, currency, status and
    amount."""
    assert notice.outcome is not None
    shown = json.loads(body.decode(errors="replace"))["data"]["object"]
    known = (shown["metadata"]["order_ref"], shown["currency"].upper())
    status, amount = shown["status"], notice.outcome.amount_minor
    if known != (notice.reference, notice.outcome.currency):
        return False
    if notice.event_type.startswith("refund."):
        return (status, shown["amount"]) == ("succeeded", amount)
    taken = {"succeeded": "amount_received", "requires_capture": "amount_capturable"}.get(status)
    return taken is not None and shown["amount"] == shown[taken] == amount


_TRIED: Final = {"code": "card_declined", "decline_code": "lost_card"}
EVENTS: Final = Events(
    contents=[
        orjson.loads(event(kind, shown))
        for kind, shown in (
            ("payment_intent.succeeded", intent()),
            ("payment_intent.succeeded", authorized("succeeded", op_c2="1099")),
            ("payment_intent.amount_capturable_updated", authorized()),
            ("payment_intent.payment_failed", intent("requires_payment_method", last_payment_error=_TRIED)),
            ("payment_intent.canceled", intent("canceled")),
            ("payment_intent.processing", intent("processing")),
            ("refund.updated", refund()),
            ("charge.expired", charge()),
            *(
                (f"charge.dispute.{what}", dispute(status))
                for what, status in (
                    ("created", "needs_response"),
                    ("created", "warning_needs_response"),
                    ("updated", "prevented"),
                    ("closed", "won"),
                    ("closed", "lost"),
                    ("closed", "warning_closed"),
                    ("funds_withdrawn", "needs_response"),
                    ("funds_reinstated", "won"),
                )
            ),
        )
    ],
    approves=approves,
    likely=LIKELY,
)
