"""Transactions and refunds as anybody may select them, from the ledger's objects. What is kept of each beside the ledger's
columns is `Kept`, with its history, newest first.
"""

import base64
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from gateways.braintree import amounts
from gateways.simulator import ids
from gateways.simulator.faults import Do
from gateways.simulator.rows import Object

GATEWAY: Final = "braintree"
_EVENTS: Final = {
    "AUTHORIZED": "AuthorizedEvent",
    "AUTHORIZATION_EXPIRED": "AuthorizationExpiredEvent",
    "PROCESSOR_DECLINED": "ProcessorDeclinedEvent",
    "GATEWAY_REJECTED": "GatewayRejectedEvent",
    "FAILED": "FailedEvent",
    "SUBMITTED_FOR_SETTLEMENT": "SubmittedForSettlementEvent",
    "SETTLEMENT_PENDING": "SettlementPendingEvent",
    "SETTLEMENT_DECLINED": "SettlementDeclinedEvent",
    "SETTLED": "SettledEvent",
    "VOIDED": "VoidedEvent",
}
_GO_ON: Final = frozenset({"AUTHORIZED", "SUBMITTED_FOR_SETTLEMENT", "SETTLEMENT_PENDING"})


class Kept(NamedTuple):
    """`fate`: of its settlement. `history`: status, moment, minor units, and what else the event says."""

    legacy_id: str
    nonce: str
    merchant_account: str
    fate: str = "approved"
    history: tuple[tuple[str, float, int, dict[str, Any]], ...] = ()


def kept(one: Object) -> Kept:
    said = orjson.loads(one.data)
    return Kept(**said | {"history": tuple(map(tuple, said["history"]))})


def written(of: Kept) -> str:
    return orjson.dumps(of._asdict()).decode()


def new_ids(kind: str, now: float) -> tuple[str, str]:
    """The id, and the one of the older interface."""
    legacy = ids.letters(now)
    return base64.urlsafe_b64encode(f"{kind}_{legacy}".encode()).decode().rstrip("="), legacy


def into(one: Object, status: str, minor: int, now: float, **says: Any) -> Object:
    """With this status from now on; `says`: what its event says beside the amount."""
    of = kept(one)
    history = ((status, now, minor, says), *of.history)
    return one._replace(status=status, data=written(of._replace(history=history)))


def amount_of(one: Object) -> int:
    history = kept(one).history
    return history[0][2] if history else one.minor


def as_it_was(one: Object) -> Object:
    """Before the last change."""
    of = kept(one)
    earlier = one.earlier or "AUTHORIZING"
    return one._replace(status=earlier, data=written(of._replace(history=of.history[1:])))


def transaction(one: Object, refunds: list[Object], do: Do | None = None) -> dict[str, Any]:
    def given_back(_: Any) -> list[dict[str, Any]]:
        return [refund(other, one) for other in refunds]

    partial = bool(one.authorized) and one.authorized < one.minor
    return {
        "__typename": "Transaction",
        **_payment(one, do),
        "refunds": given_back,
        "partiallyAuthorized": partial,
    }


def refund(one: Object, of: Object, do: Do | None = None) -> dict[str, Any]:
    def refunded(_: Any) -> dict[str, Any]:
        return transaction(of, [one])

    return {"__typename": "Refund", **_payment(one, do), "refundedTransaction": refunded}


def _payment(one: Object, do: Do | None) -> dict[str, Any]:
    of = kept(one)
    return {
        "id": one.id,
        "legacyId": of.legacy_id,
        "createdAt": moment(one.created),
        "amount": money(amount_of(one), one.currency, do),
        "orderId": one.reference,
        "status": one.status,
        "statusHistory": [_event(one, *event) for event in of.history],
        "merchantAccountId": of.merchant_account,
        "source": "API",
    }


def _event(one: Object, status: str, at: float, minor: int, says: dict[str, Any]) -> dict[str, Any]:
    return {
        "__typename": _EVENTS[status],
        "status": status,
        "timestamp": moment(at),
        "amount": money(minor, one.currency),
        "source": "API",
        "terminal": status not in _GO_ON,
        **says,
    }


def money(minor: int, currency: str, do: Do | None = None) -> dict[str, str]:
    if do == "wrong_amount":
        minor += 1
    wire = amounts.to_wire(minor, currency)
    if do == "wrong_currency":
        currency = "EUR" if currency == "USD" else "USD"
    return {"value": wire, "currencyIsoCode": currency, "currencyCode": currency}


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
