"""Transactions and refunds as clients may select them, made from the ledger's objects. `Kept` holds what the
ledger has no column for.
"""

import base64
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from gateways.simulator.braintree.currencies import CURRENCIES
from gateways.simulator.core import ids
from gateways.simulator.core.faults import Do
from gateways.simulator.core.rows import Object

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
    """The state of an object that the ledger has no column for. `fate`: of the settlement. `history`: status,
    moment, mills and the event's other fields, the newest first."""

    legacy_id: str
    nonce: str
    merchant_account: str
    fate: str = "approved"
    history: tuple[tuple[str, float, int, dict[str, Any]], ...] = ()


def kept(one: Object) -> Kept:
    """Reads it from the object's data."""
    stored = orjson.loads(one.data)
    return Kept(**stored | {"history": tuple(map(tuple, stored["history"]))})


def written(of: Kept) -> str:
    """Writes it as an object's data."""
    return orjson.dumps(of._asdict()).decode()


def new_ids(kind: str, now: float) -> tuple[str, str]:
    """A new id of the GraphQL API, and the id of the older interface that webhooks name."""
    legacy = ids.letters(now)
    return base64.urlsafe_b64encode(f"{kind}_{legacy}".encode()).decode().rstrip("="), legacy


def into(one: Object, status: str, mills: int, now: float, **fields: Any) -> Object:
    """The object in a new status, with the event in its history. `fields`: of the event, beside its
    amount."""
    of = kept(one)
    history = ((status, now, mills, fields), *of.history)
    return one._replace(status=status, data=written(of._replace(history=history)))


def amount_of(one: Object) -> int:
    """The amount of the last event, in mills; a capture in part changes it."""
    history = kept(one).history
    return history[0][2] if history else one.mills


def as_it_was(one: Object) -> Object:
    """The object before its last change."""
    of = kept(one)
    earlier = one.earlier or "AUTHORIZING"
    return one._replace(status=earlier, data=written(of._replace(history=of.history[1:])))


def transaction(one: Object, refunds: list[Object], do: Do | None = None) -> dict[str, Any]:
    """A transaction's fields. `do`: a fault that the amount has to show."""

    def given_back(_: Any) -> list[dict[str, Any]]:
        return [refund(other, one, refunds) for other in refunds]

    partial = bool(one.authorized) and one.authorized < one.mills
    return {
        "__typename": "Transaction",
        **_payment(one, do),
        "refunds": given_back,
        "partiallyAuthorized": partial,
    }


def refund(one: Object, of: Object, refunds: list[Object], do: Do | None = None) -> dict[str, Any]:
    """A refund's fields. `refunds`: every refund of the transaction."""

    def refunded(_: Any) -> dict[str, Any]:
        return transaction(of, refunds)

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


def _event(one: Object, status: str, at: float, mills: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "__typename": _EVENTS[status],
        "status": status,
        "timestamp": moment(at),
        "amount": money(mills, one.currency),
        "source": "API",
        "terminal": status not in _GO_ON,
        **fields,
    }


def money(mills: int, currency: str, do: Do | None = None) -> dict[str, str]:
    """A MonetaryAmount; with the fault `wrong_amount` or `wrong_currency`, another one."""
    if do == "wrong_amount":
        mills += CURRENCIES.unit(currency)
    wire = CURRENCIES.written(mills, currency)
    if do == "wrong_currency":
        currency = "EUR" if currency == "USD" else "USD"
    return {"value": wire, "currencyIsoCode": currency, "currencyCode": currency}


def moment(at: float) -> str:
    """Unix seconds as GraphQL's Timestamp, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
