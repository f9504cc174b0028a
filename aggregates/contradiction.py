"""A report that cannot be true beside what is recorded. While it is open, it freezes the payment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Until = Literal[
    "captured_agrees",
    "given_back",
    "hold_released",
    "named",
    "refunded_agrees",
    "stands",
    "sums_hold",
    "received_again",
]
"""The cause that ends a contradiction by itself. `captured_agrees`, `refunded_agrees`: the PSP shows in all
what is recorded. `given_back`: nothing is kept of a cancelled payment. `hold_released`: nothing is held.
`named`: only an operator ends it, whose decision names the PSP's second id of the operation. `stands`: the
PSP reports again that the operation was executed. `sums_hold`: no sum passes another. `received_again`: a
webhook reports again what a lookup reported."""

ContradictionKey = tuple[str, str, str | None, str]
"""The operation's id, what was reported of it, the PSP's id, and what distinguishes it from others of the
same report."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """`observed_at`: of the report. `until`: None: only an operator ends it."""

    reason: str
    until: Until | None
    observed_at: datetime
    open: bool = True

    def ends_by(self, psp_id: str | None, other_psp_id: str | None) -> bool:
        """True if an operator's decision ends it. `psp_id`: of the report. `other_psp_id`: the second id that
        the decision is about; None: it is about the operation itself."""
        return psp_id == other_psp_id if self.until == "named" else other_psp_id is None
