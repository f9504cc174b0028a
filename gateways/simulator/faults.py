"""What may go wrong with a call, and which calls it goes wrong with. Invariant: whether a call is hit by a fault with
a share depends on the seed and on the call alone, so the same seed hits the same calls whatever their timing.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

On = Literal["create", "continue", "capture", "cancel", "refund", "search", "get"]
"""`continue`: a further call that a payment needs before its money is held or taken."""
Do = Literal[
    "429",
    "500",
    "500_once",
    "absent",
    "burst_429",
    "drip",
    "flap",
    "garbage",
    "hang",
    "key_expired",
    "key_ignored",
    "late",
    "lost",
    "reset",
    "slow",
    "timeout",
    "vanish",
    "wrong_amount",
    "wrong_currency",
]

AFTER_S: Final[dict[Do, float]] = {
    "burst_429": 2.0,
    "drip": 20.0,
    "hang": 60.0,
    "late": 20.0,
    "slow": 3.0,
    "timeout": 15.0,
    "vanish": 5.0,
}
_READS: Final = frozenset({"search", "get"})
KEY_LOST: Final = frozenset({"key_expired", "key_ignored"})
"""The idempotency key does not protect: the PSP has forgotten it, or keeps nothing under it."""
_ONLY_OF_WRITES: Final = frozenset({"late", "wrong_amount", "wrong_currency", *KEY_LOST})


@dataclass(frozen=True, slots=True)
class Mishap:
    """`times`: so often it hits one key, or with `of_payment` one payment under whatever keys; None: always."""

    do: Do
    after_s: float = 0.0
    times: int | None = None
    of_payment: bool = False


class Fault(BaseModel):
    """As switched on from outside: hits a `share` of the calls, each key `times` times, or the `next` calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    on: On
    do: Do
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    next: Annotated[int, Field(gt=0)] | None = None
    seed: int = 0
    times: Annotated[int, Field(gt=0)] = 1
    after_s: Annotated[float, Field(gt=0, le=600)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.share is None) == (self.next is None):
            raise ValueError("either share or next")
        if self.on in _READS and self.do in _ONLY_OF_WRITES:
            raise ValueError(f"{self.do} is nothing that happens to {self.on}")
        if self.do == "absent" and self.on != "search":
            raise ValueError("only a search is answered with nothing")
        if self.do == "flap" and self.on not in _READS:
            raise ValueError("only a read shows an earlier status")
        return self

    def draws(self, call: str) -> bool:
        drawn = blake2b(f"{self.seed}/{self.on}/{self.do}/{call}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < (self.share or 0) * 2**64


@dataclass(slots=True)
class Faults:
    """What is switched on at present. What was hit is remembered until the faults are changed, in memory only."""

    switched_on: list[Fault] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    _met: dict[tuple[int, str], int] = field(default_factory=dict)

    def switch(self, faults: list[Fault]) -> None:
        self.switched_on, self.hits, self._met = list(faults), {}, {}

    def chosen(self, on: On, call: str, *, repeat: bool = False) -> Mishap | None:
        """`call`: what a repeat of it has in common with it, the account's name and its key or path. `repeat`: its key
        has an answer already; only then can the key be forgotten."""
        for number, fault in enumerate(self.switched_on):
            able = repeat or fault.do != "key_expired"
            if fault.on == on and able and self._hits(number, fault, call):
                label = f"{on}/{fault.do}"
                self.hits[label] = self.hits.get(label, 0) + 1
                return Mishap(fault.do, fault.after_s or AFTER_S.get(fault.do, 0.0))
        return None

    def _hits(self, number: int, fault: Fault, call: str) -> bool:
        counted, limit = ("", fault.next) if fault.next is not None else (call, fault.times)
        met = self._met.get((number, counted), 0)
        if met >= limit or (fault.share is not None and not fault.draws(call)):
            return False
        self._met[number, counted] = met + 1
        return True


@dataclass(frozen=True, slots=True)
class Spent:
    """How often the mishaps that a token chose have happened already. In memory: after a restart they happen again."""

    times: dict[str, int] = field(default_factory=dict)

    def again(self, mishap: Mishap, key: str | None, payment: str | None) -> bool:
        """Whether it happens this time too."""
        return mishap.times is None or self.take(payment if mishap.of_payment else key, mishap.times)

    def take(self, name: str | None, times: int) -> bool:
        """Whether this one is among the first of its name. What has no name cannot be told from its repeat: it is."""
        if name is None:
            return True
        taken = self.times.get(name, 0)
        self.times[name] = taken + 1
        return taken < times
