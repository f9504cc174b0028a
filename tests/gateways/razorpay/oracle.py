"""Judges the outcomes read from Razorpay's responses and events, by its reference."""

from collections.abc import Mapping
from typing import Any, Final

from commands.notices import Notice
from gateways.contract import Call, HttpResponse
from tests.gateways.conformance.oracle import Oracle, objects_of
from tests.gateways.conformance.webhooks import Events
from tests.gateways.razorpay.payloads import (
    AUTHORIZE,
    CAPTURE,
    DISPUTE,
    ORDER,
    ORDER_ID,
    PAY,
    PAYMENT_ID,
    REDIRECT,
    REFUND,
    REFUND_ID,
    TAKE,
    error,
    event,
    failed,
    http_response,
    listed,
    order,
    payment,
    prepared,
    refund,
)

LIKELY: list[Any] = [
    *("created", "authorized", "captured", "refunded", "failed", "processed", "pending", "card_declined"),
    *("INR", "USD", "XYZ", "payment", "refund", "order", "collection", "", "\x00", "4" * 5000),
    *(0, 1, 400, 1098, 1099, -1099, 2**53, 2**63, 1.5, 1e300, True, False, None, {}, [], [[]], [None]),
    *(ORDER.reference, AUTHORIZE.reference, REFUND.reference, "another"),
    *(ORDER_ID, PAYMENT_ID, REFUND_ID, "order_another", "pay_another", "rfnd_another", "pay_\ud800"[:4]),
    *({"order_ref": ORDER.reference}, {"order_ref": AUTHORIZE.reference, "order_kind": "authorize"}),
]
TRUE_ANSWERS: list[tuple[Call, list[Any]]] = [
    (
        ORDER,
        [
            order(),
            listed(order(payments=listed())),
            listed(order(payments=listed(payment("captured")))),
            error("input_validation_failed"),
        ],
    ),
    (
        PAY,
        [
            prepared(REDIRECT),
            payment("captured"),
            listed(payment("authorized")),
            listed(payment("captured")),
            listed(failed("card_declined"), payment("refunded", captured=True)),
            error("card_declined", of=PAYMENT_ID),
        ],
    ),
    (
        AUTHORIZE,
        [listed(payment("authorized", AUTHORIZE)), payment("captured", AUTHORIZE), prepared(REDIRECT)],
    ),
    (TAKE, [payment("captured"), payment("authorized"), error("NA", description="already captured")]),
    (CAPTURE, [payment("captured", AUTHORIZE), payment("authorized", AUTHORIZE)]),
    (REFUND, [refund(), refund("pending"), listed(refund()), listed(refund(), refund(id="rfnd_b"))]),
]


def _response(body: Any) -> HttpResponse:
    return http_response(400 if "error" in body else 200, body)


def _order_ref(shown: Mapping[str, Any]) -> Any:
    tags = shown.get("notes")
    return tags.get("order_ref") if isinstance(tags, dict) else None


def _shows(call: Call, shown: Mapping[str, Any]) -> bool:
    """Whether this object by itself shows that the call was done as requested."""
    order_id = _order_ref(shown)
    status, money = shown.get("status"), (shown.get("amount"), shown.get("currency"))
    if call.kind == "refund":
        ours = (
            call.reference in (order_id, shown.get("receipt"))
            and shown.get("payment_id") == call.target_psp_id
        )
        return ours and money == (call.amount_minor, call.currency) and status == "processed"
    taken = status == "captured" or (status == "refunded" and shown.get("captured") is True)
    wanted = call.target_reference if call.kind == "capture" else call.reference
    held = call.kind == "authorize" and status == "authorized"
    return order_id == wanted and money == (call.amount_minor, call.currency) and (taken or held)


def done(call: Call, shown: Mapping[str, Any]) -> int | None:
    return call.amount_minor if _shows(call, shown) else None


ORACLE: Final = Oracle(
    done=done,
    responses=[(call, [_response(body) for body in bodies]) for call, bodies in TRUE_ANSWERS],
    likely=LIKELY,
    known_as=lambda call: REFUND_ID if call.kind == "refund" else PAYMENT_ID,
    statuses={"APPROVED": {200}, "DECLINED": {200, 400}, "NOT_SENT": range(400, 500)},
)


def approves(notice: Notice, body: bytes) -> bool:
    """True if an entity of the event has the notice's id, reference and amount, and a status that Razorpay
    calls done. A notice without a reference is matched by the id alone."""
    outcome = notice.outcome
    assert outcome is not None
    return any(
        notice.reference in (None, _order_ref(shown))
        and shown.get("id") == notice.psp_id
        and (shown.get("amount"), shown.get("currency")) == (outcome.amount_minor, outcome.currency)
        and shown.get("status") in ("captured", "authorized", "processed")
        for shown in objects_of(body)
    )


EVENTS: Final = Events(
    contents=[
        event("payment.captured", payment=payment("captured")),
        event("payment.authorized", payment=payment("authorized", AUTHORIZE)),
        event("refund.processed", refund=refund(), payment=payment("captured")),
        *(
            event(f"payment.dispute.{what}", dispute=DISPUTE | {"phase": phase}, payment=payment())
            for what, phase in (
                ("created", "chargeback"),
                ("under_review", "retrieval"),
                ("action_required", "fraud"),
                ("won", "arbitration"),
                ("lost", "chargeback"),
                ("closed", "fraud"),
            )
        ),
    ],
    approves=approves,
    likely=LIKELY,
)
