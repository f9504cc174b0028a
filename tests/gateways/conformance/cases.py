"""The list of cases, one for all PSPs. What a PSP cannot have stands in its book as `Without`, with the
reason."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Operation = Literal["authorize", "sale", "capture", "capture_part", "void", "refund", "refund_part"]
Result = Literal[
    "APPROVED",
    "ACTION_REQUIRED",
    "PENDING",
    "DECLINED_SOFT",
    "DECLINED_HARD",
    "NOT_SENT",
    "CONFIG",
    "DUPLICATE",
    "UNKNOWN",
]
KeyCase = Literal["replayed", "other_parameters", "still_running"]
Other = Literal["more", "less", "currency", "payment"]
Way = Literal["by_id", "by_reference"]
CancelCase = Literal["ended", "was_approved", "refused"]
Token = Literal["approved", "declined_soft", "declined_hard", "challenged"]

OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
CHARGE_ATTEMPTS: Final[tuple[Operation, ...]] = ("authorize", "sale")
RESULTS: Final[tuple[Result, ...]] = get_args(Result)
KEY_CASES: Final[tuple[KeyCase, ...]] = get_args(KeyCase)
OTHERS: Final[tuple[Other, ...]] = get_args(Other)
WAYS: Final[tuple[Way, ...]] = get_args(Way)
CANCEL_CASES: Final[tuple[CancelCase, ...]] = get_args(CancelCase)
TOKENS: Final[tuple[Token, ...]] = get_args(Token)
NEVER_WITHOUT: Final[frozenset[Result]] = frozenset({"NOT_SENT", "CONFIG", "UNKNOWN"})

AMOUNTS: Final = (
    (1099, "USD"),
    (500, "JPY"),
    (5120, "KWD"),
    (5124, "KWD"),
    (1230, "TND"),
    (5, "ISK"),
    (1045, "HUF"),
    (1000, "HUF"),
    (80000, "TWD"),
    (1000, "CLP"),
    (5, "UGX"),
    (1500000, "IDR"),
)
"""In our minor units: 2, 0 and 3 decimals, and the currencies in which the PSPs differ."""

PLANTED: Final = "PLANTED"
"""Stands in every secret and token of a book, and may stand nowhere else."""


@dataclass(frozen=True, slots=True)
class Without:
    why: str
