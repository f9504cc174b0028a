"""What a decision is given: what was asked for and why; and what it answers where the rules say no."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from aggregates.money import Money


@dataclass(frozen=True, slots=True)
class Asked:
    """What a merchant asks for when it creates a payment. `Money.payable` has passed its amount."""

    merchant_id: str
    idempotency_key: str
    amount: Money
    capture: Literal["automatic", "manual"]
    payment_method: str
    stored_credential: dict[str, str | None] | None
    customer_id: str | None
    country: str | None
    description: str | None
    statement_text: str | None
    return_page: str | None
    metadata: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """Why events are written: the message that was read, the chain that it belongs to, and what is live or random then.

    `fingerprint`: of a command's content; None where the message was no command of a producer. `jitter`: in [0, 1),
    spreads the retries.
    """

    command_id: UUID
    fingerprint: str | None
    correlation_id: str
    traceparent: str | None
    now: datetime
    jitter: float

    def fields(self) -> dict[str, Any]:
        """Of every event."""
        return {
            "command_id": str(self.command_id),
            "fingerprint": self.fingerprint,
            "correlation_id": self.correlation_id,
            "traceparent": self.traceparent,
            "timestamp": self.now,
        }


class Refused(Exception):
    """A rule says no, and nothing is recorded but the answer. `detail` says which rule and what would be allowed;
    `amounts` in the payment's minor units."""

    def __init__(self, code: str, detail: str, amounts: Mapping[str, int] | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.amounts = dict(amounts or {})
