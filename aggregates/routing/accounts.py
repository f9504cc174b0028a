"""A PSP account, with what its adapter and its contract declare."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Limit = Literal["disputes_show_as_refunds", "full_capture", "no_lookup", "no_void", "refund_of_capture"]
"""`disputes_show_as_refunds`: a lookup shows what a dispute took among the refunds. `full_capture`: all of an
authorization or nothing. `no_lookup`: only a repeat or a webhook reports how a call ended.
`refund_of_capture`: a refund names one capture, and cannot pass it."""


@dataclass(frozen=True, slots=True)
class PspAccount:
    """An account at which an operation may run, with what its adapter and its contract declare.

    `key_life_s`: how long the PSP remembers an idempotency key; 0 where it has none. `authorization_life_s`:
    from the approval. `multicapture`: an authorization may be captured several times; otherwise the first
    capture releases the rest. `final_call_by`: who makes the last call after a challenge. `limits`: what this
    PSP cannot do.
    """

    gateway: str
    account: str
    key_life_s: int
    authorization_life_s: int
    multicapture: bool
    overcapture_percent: int
    final_call_by: Literal["psp", "us"]
    limits: frozenset[Limit] = frozenset()

    @property
    def looks_up(self) -> bool:
        """True if the PSP has a status API, so that AegisPay can query an operation."""
        return "no_lookup" not in self.limits

    def token(self, payment_method: str | None, payment_methods: Mapping[str, str] | None = None) -> str:
        """Returns the token that this PSP gets: its own of several, or the only one without its gateway's
        name, which may precede it with a colon. Raises `KeyError` where several have none for it."""
        if payment_method is None:
            return (payment_methods or {})[self.gateway]
        return payment_method.removeprefix(f"{self.gateway}:")
