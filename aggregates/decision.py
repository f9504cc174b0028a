"""The inputs of a decision, and the error by which a rule refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Literal
from uuid import UUID

from aggregates.fees import NO_FEES, FeeBook
from aggregates.money import Money


@dataclass(frozen=True, kw_only=True)
class PaymentFields:
    """The fields of a payment that a merchant's request and the event made from it (`events.Requested`) have
    alike. A new one goes here, with a default: payments that were stored without it are read with that."""

    merchant_id: str
    idempotency_key: str
    capture: Literal["automatic", "manual"]
    payment_method: str | None
    stored_credential: dict[str, str | None] | None
    customer_id: str | None
    country: str | None
    description: str | None
    statement_text: str | None
    return_page: str | None
    metadata: dict[str, str]
    payment_methods: dict[str, str] | None = None
    method: str | None = None
    card: dict[str, str | None] | None = None

    def shared(self) -> dict[str, Any]:
        """Returns these fields by name, and none that a subclass adds."""
        return dict(zip(PAYMENT_FIELDS, _read_shared(self), strict=True))


PAYMENT_FIELDS: Final = tuple(one.name for one in fields(PaymentFields))
_read_shared: Final = attrgetter(*PAYMENT_FIELDS)


@dataclass(frozen=True, kw_only=True)
class PaymentRequest(PaymentFields):
    """A merchant's request for a payment. `Money.payable` has passed its amount."""

    amount: Money
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of events: the message that was read, the chain that it belongs to, and what is live or
    random then.

    `fingerprint`: of a command's content; None where the message was no command of a producer. `jitter`: in
    [0, 1), spreads the retries. `fees`: the price lists, of which an operation keeps what it is expected to
    cost.
    """

    command_id: UUID
    fingerprint: str | None
    correlation_id: str
    traceparent: str | None
    now: datetime
    jitter: float
    fees: FeeBook = NO_FEES

    def fields(self) -> dict[str, Any]:
        """Returns the fields that every event has."""
        return {
            "command_id": str(self.command_id),
            "fingerprint": self.fingerprint,
            "correlation_id": self.correlation_id,
            "traceparent": self.traceparent,
            "timestamp": self.now,
        }


class Refused(Exception):
    """A rule refuses the command; only the refusal is recorded. `detail` names the rule and what would
    be allowed; `amounts` in the payment's minor units."""

    def __init__(self, code: str, detail: str, amounts: Mapping[str, int] | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.amounts = dict(amounts or {})
