"""One dispute of a payment, as it was last reported."""

from dataclasses import dataclass
from datetime import datetime

from aggregates.status import DisputeState


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute's state, and who reported or decided it. `at`: when it was reported, by the PSP's clock.
    `who`: the operator who decided it; None: the PSP reported it."""

    operation_id: str
    state: DisputeState
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: str | None
    at: datetime
    who: str | None

    @property
    def content(self) -> tuple[DisputeState, int, str, str | None, str | None]:
        """The fields that a repeated report has alike: state, amount, currency, reason, deadline."""
        return self.state, self.amount_minor, self.currency, self.reason, self.respond_by
