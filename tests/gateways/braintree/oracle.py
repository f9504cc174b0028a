"""Judges the outcomes read from Braintree's responses and notifications, by its documents."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from gateways.contract import Call
from tests.gateways.braintree.payloads import (
    AUTHORIZE,
    CALL,
    CAPTURE,
    PRIVATE_KEY,
    REFERENCE,
    REFUND_ALL,
    REFUND_ID,
    REFUND_PART,
    TRANSACTION_ID,
    VOID,
    authorized,
    by_id,
    captured,
    charged,
    declined,
    error,
    failed,
    held,
    http_response,
    money,
    node,
    refund,
    refunded,
    rejected,
    returned,
    reversed_as,
    search,
    transaction,
)
from tests.gateways.conformance.oracle import Oracle
from tests.gateways.conformance.webhooks import Events

TRUE_ANSWERS: list[tuple[Call, list[Any]]] = [
    (
        CALL,
        [
            charged(transaction()),
            charged(declined()),
            charged(rejected("DUPLICATE", duplicateOf={"id": "b", "orderId": REFERENCE})),
            search(transaction()),
            search(transaction(), declined()),
            by_id(transaction()),
            by_id(transaction(), rejected("DUPLICATE")),
            failed(error(legacyCode="91564")),
        ],
    ),
    (AUTHORIZE, [authorized(held()), search(held("SETTLED", "4.00")), by_id(held("SETTLED", "4.00"))]),
    (CAPTURE, [captured(held("SETTLING", "4.00")), node("Transaction", held("SETTLED", "4.00")), node("Transaction", held())]),
    (VOID, [reversed_as("Transaction", held("VOIDED")), reversed_as("Refund", returned()), node("Transaction", held("VOIDED"))]),
    (REFUND_PART, [refunded(refund()), node("Transaction", held("SETTLED", refunds=[refund()])), node("Refund", refund())]),
    (
        REFUND_ALL,
        [
            reversed_as("Transaction", held("VOIDED")),
            reversed_as("Refund", returned()),
            node("Transaction", held("SETTLED", refunds=[returned()])),
            node("Transaction", held("VOIDED")),
        ],
    ),
]  # fmt: skip
LIKELY: list[Any] = [
    *("AUTHORIZED", "SETTLED", "VOIDED", "PROCESSOR_DECLINED", "TELEPORTED", "Refund", "Transaction"),
    *(
        "10.99",
        "4.00",
        "1099",
        "USD",
        "EUR",
        REFERENCE,
        AUTHORIZE.reference,
        REFUND_PART.reference,
        "another",
    ),
    *(TRANSACTION_ID, REFUND_ID, "4111111111111111", PRIVATE_KEY, "\ud7ff\u0000", "x" * 3000, ""),
    *(0, 10.99, -1, 2**63, 1e300, True, None, {}, [], [[]], money("4.00"), [transaction()], {"id": "b"}),
]
_TAKEN = ("SUBMITTED_FOR_SETTLEMENT", "SETTLING", "SETTLED", "SETTLEMENT_CONFIRMED")


def _id_of(shown: Any) -> Any:
    return shown.get("id") if isinstance(shown, dict) else None


def _money_of(shown: Any) -> Any:
    return (shown.get("value"), shown.get("currencyCode")) if isinstance(shown, dict) else None


def _shows(call: Call, payload: Mapping[str, Any]) -> bool:
    """Whether this object by itself shows that the call was done as requested."""
    status, amount, order_id = payload.get("status"), _money_of(payload.get("amount")), payload.get("orderId")
    taken, asked_for = status in _TAKEN, (f"{call.amount_minor / 100:.2f}", call.currency)
    history = payload.get("statusHistory")
    events = [one for one in history if isinstance(one, dict)] if isinstance(history, list) else []
    match call.kind:
        case "sale":
            # What was voided after it was submitted for settlement was taken, and given back.
            given_back = status == "VOIDED" and any(e.get("status") in _TAKEN for e in events)
            return (taken or given_back) and order_id == call.reference and amount == asked_for
        case "authorize":
            was_held = any(
                (e.get("status"), _money_of(e.get("amount"))) == ("AUTHORIZED", asked_for) for e in events
            )
            holds = status == "AUTHORIZED" and amount == asked_for
            return order_id == call.reference and (holds or was_held)
    target = payload.get("id") == call.target_psp_id and order_id == call.target_reference
    if call.kind == "capture":
        return target and taken and amount == asked_for
    released = target and amount == asked_for and status in ("VOIDED", "AUTHORIZATION_EXPIRED")
    if call.kind == "void":
        return released
    whole = call.amount_minor == call.target_minor
    requested = (call.target_reference if whole else call.reference, asked_for)
    given = (
        taken
        and _id_of(payload.get("refundedTransaction")) == call.target_psp_id
        and (order_id, amount) == requested
    )
    return given or (whole and released)


def done(call: Call, shown: Mapping[str, Any]) -> int | None:
    return call.amount_minor if _shows(call, shown) else None


ORACLE: Final = Oracle(
    done=done,
    responses=[(call, [http_response(body) for body in bodies]) for call, bodies in TRUE_ANSWERS],
    likely=LIKELY,
    known_as=lambda call: REFUND_ID if call.kind == "refund" else TRANSACTION_ID,
    statuses={"DECLINED": {200}},
)


def xml(content: Any) -> bytes:
    """Writes JSON content as the XML of a notification, whose elements are the content's names."""
    return "".join(_elements("notification", content)).encode(errors="surrogatepass")


def _elements(name: str, content: Any) -> Iterator[str]:
    for one in content if isinstance(content, list) else [content]:
        yield f"<{name}>"
        if isinstance(one, dict):
            for inner, value in one.items():
                yield from _elements(inner, value)
        elif one is not None:
            yield escape(str(one))
        yield f"</{name}>"


_STAMP: Final = "2026-03-01T10:20:30Z"
_ORDER: Final = {"id": "kdb5gx8g", "order-id": REFERENCE}
_SETTLED: Final = {"type": "sale", "amount": "10.99", "currency-iso-code": "USD", **_ORDER}
_DISPUTED: Final = {
    "id": "dsp1",
    "amount": "100.00",
    "amount-disputed": "10.99",
    "currency-iso-code": "USD",
    "reason": "fraud",
    "reply-by-date": "2026-03-15",
    "transaction": _ORDER,
}
_STATES: Final = ("opened", "under_review", "disputed", "won", "lost", "accepted", "auto_accepted", "expired")
EVENTS: Final = Events(
    contents=[
        *(
            {
                "timestamp": _STAMP,
                "kind": f"dispute_{state}",
                "subject": {"dispute": {**_DISPUTED, "kind": kind}},
            }
            for state in _STATES
            for kind in ("chargeback", "retrieval", "pre_arbitration")
        ),
        *(
            {"timestamp": _STAMP, "kind": f"transaction_{what}", "subject": {"transaction": _SETTLED}}
            for what in ("settled", "settlement_declined", "reviewed")
        ),
    ],
    approves=lambda _notice, _body: (
        False
    ),  # a settlement, and what failed, is all that a notification reports
    likely=LIKELY,
    write=xml,
)
