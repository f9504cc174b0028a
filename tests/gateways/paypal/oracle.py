"""Judges the outcomes read from PayPal's responses and events, by its interface description."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from commands.notices import Notice
from gateways.contract import Call, HttpResponse
from tests.gateways.conformance.oracle import Oracle, objects_of
from tests.gateways.conformance.webhooks import Events
from tests.gateways.paypal.payloads import (
    AUTHORIZATION_ID,
    AUTHORIZE,
    CAPTURE,
    CREATE,
    ORDER,
    ORDER_ID,
    PAYMENT,
    REFUND,
    SALE,
    VOID,
    WALLET,
    authorization,
    authorized,
    capture,
    dispute,
    http_response,
    issue,
    order,
    refund,
    sold,
    taken,
    usd,
)

WAITS = replace(SALE, psp_id=f"{ORDER}/waiting/2")
CHALLENGE = order("PAYER_ACTION_REQUIRED")
SEEDS: list[tuple[Call, list[Any]]] = [
    (CREATE, [order("CREATED"), order("APPROVED"), issue("INVALID_CURRENCY_CODE"), sold()]),
    (WALLET, [CHALLENGE, order("APPROVED"), order("VOIDED")]),
    (SALE, [sold(), sold(status="DECLINED", processor="5120"), CHALLENGE, issue("INSTRUMENT_DECLINED")]),
    (WAITS, [sold(), CHALLENGE, order("APPROVED"), issue("PAYER_ACTION_REQUIRED", links=CHALLENGE["links"])]),
    (AUTHORIZE, [authorized(), authorized(status="VOIDED"), order("COMPLETED", AUTHORIZE)]),
    (CAPTURE, [capture(), capture("PENDING"), order("COMPLETED", AUTHORIZE, captures=[capture(), taken()])]),
    (
        VOID,
        [
            authorization("VOIDED"),
            issue("PREVIOUSLY_VOIDED"),
            order("COMPLETED", AUTHORIZE, authorizations=[authorization("VOIDED")], captures=[capture()]),
        ],
    ),
    (REFUND, [refund(), refund("FAILED"), order("COMPLETED", AUTHORIZE, refunds=[refund()])]),
]
LIKELY: Final[list[Any]] = [
    *(
        "COMPLETED",
        "CREATED",
        "VOIDED",
        "PENDING",
        "DECLINED",
        "APPROVED",
        "CAPTURED",
        "",
        "USD",
        "EUR",
        "10.99",
    ),
    *(0, 1, -1, 10.99, 2**63, True, None, {}, [], [[]], [{}], "x" * 3000, "\x00", "4111111111111111"),
    *(SALE.reference, AUTHORIZE.reference, CAPTURE.reference, REFUND.reference, f"{PAYMENT}-r9"),
    *(ORDER_ID, AUTHORIZATION_ID, "8MC585209K746392H", usd("10.99"), usd("4.00"), usd("6.99"), usd("-4.00")),
    *({"currency_code": "EUR", "value": "10.99"}, {"issue": "TRANSACTION_REFUSED"}, [capture()], [taken()]),
]


def _response(body: Any) -> HttpResponse:
    return http_response(422 if "details" in body else 200, body, {"paypal-debug-id": "f5a2\x00"})


def _authorization(call: Call) -> str:
    return (call.target_psp_id or "").rpartition("/")[2]


def _shows(call: Call, shown: Mapping[str, Any]) -> bool:
    """Whether this object by itself shows that the call was done as requested."""
    status, shown_amount = shown.get("status"), shown.get("amount")
    money = shown_amount if isinstance(shown_amount, dict) else {}
    if call.kind == "void":
        named = [one.get("issue") for one in shown.get("details") or [{}] if isinstance(one, dict)]
        return (shown.get("id"), status) == (_authorization(call), "VOIDED") or "PREVIOUSLY_VOIDED" in named
    value = f"{call.amount_minor / 100:.2f}"
    if (money.get("currency_code"), money.get("value")) != ("USD", value):
        return False
    if call.kind == "authorize":
        return status in ("CREATED", "PARTIALLY_CAPTURED", "CAPTURED")
    ours = call.reference in (shown.get("invoice_id"), shown.get("custom_id"))
    if call.kind == "refund":
        return ours and status == "COMPLETED"
    return (ours or call.kind == "sale") and status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


def done(call: Call, shown: Mapping[str, Any]) -> int | None:
    return call.amount_minor if _shows(call, shown) else None


ORACLE: Final = Oracle(
    done=done,
    responses=[(call, [_response(body) for body in bodies]) for call, bodies in SEEDS],
    likely=LIKELY,
    known_as=lambda call: call.psp_id or ORDER,
    statuses=dict.fromkeys(("DECLINED", "PENDING", "EXPIRED"), frozenset({200, 201, 422})),
    bare=frozenset({("void", 204)}),
)


def approves(notice: Notice, body: bytes) -> bool:
    """True if an object of the event has the notice's reference and amount, and a status that PayPal calls
    done."""
    outcome = notice.outcome
    assert outcome is not None
    assert outcome.amount_minor is not None
    money = (outcome.currency, f"{outcome.amount_minor / 100:.2f}")
    return any(
        notice.reference in (shown.get("invoice_id"), shown.get("custom_id"))
        and isinstance(shown.get("amount"), dict)
        and (shown["amount"].get("currency_code"), shown["amount"].get("value")) == money
        and shown.get("status") in _DONE
        for shown in objects_of(body)
    )


_DONE: Final = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED", "CREATED", "PARTIALLY_CAPTURED", "CAPTURED")
_LOST: Final = {"dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}}
EVENTS: Final = Events(
    contents=[
        {"id": "WH-1", "event_type": kind, "create_time": "2026-11-25T12:00:00Z", "resource": resource}
        for kind, resource in (
            *((f"CUSTOMER.DISPUTE.{what}", dispute()) for what in ("CREATED", "UPDATED", "RESOLVED")),
            ("CUSTOMER.DISPUTE.CREATED", dispute(dispute_life_cycle_stage="INQUIRY")),
            ("CUSTOMER.DISPUTE.RESOLVED", dispute(**_LOST)),
            ("PAYMENT.AUTHORIZATION.CREATED", authorization()),
            ("PAYMENT.CAPTURE.COMPLETED", capture()),
            ("PAYMENT.CAPTURE.COMPLETED", taken()),
            ("PAYMENT.CAPTURE.REFUNDED", refund()),
            ("CHECKOUT.ORDER.APPROVED", order("APPROVED")),
        )
    ],
    approves=approves,
    likely=LIKELY,
)
