"""The faults of calls: which there are, which calls they hit, and how they show on the wire. Invariant:
whether a rule with a share hits a call depends on the seed and the call alone, so the same seed hits the same
calls whatever their timing.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Final, Literal, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

On = Literal["create", "continue", "capture", "cancel", "refund", "search", "get"]
"""The kind of call that a fault hits. `continue`: a further call that a payment needs before its money is
held or taken."""
Do = Literal[
    "429",
    "500",
    "500_once",
    "503",
    "absent",
    "burst_429",
    "flap",
    "garbage",
    "hang",
    "key_expired",
    "key_ignored",
    "late",
    "lost",
    "outage",
    "reset",
    "slow",
    "slow_body",
    "timeout",
    "wrong_amount",
    "wrong_currency",
]
"""The kinds of faults. docs/simulator.md describes each."""

_AFTER_S: Final[dict[Do, float]] = {
    "burst_429": 2.0,
    "hang": 60.0,
    "late": 20.0,
    "outage": 5.0,
    "slow": 3.0,
    "slow_body": 20.0,
    "timeout": 15.0,
}
_READS: Final = frozenset({"search", "get"})
KEY_LOST: Final = frozenset({"key_expired", "key_ignored"})
"""Faults by which the idempotency key does not protect: the PSP has forgotten it, or keeps nothing under
it."""
_ONLY_OF_WRITES: Final = frozenset({"late", "wrong_amount", "wrong_currency", *KEY_LOST})
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER 1, 0 s: the close is a reset
_SLOW_PARTS: Final = 40
_GARBAGE: Final = b"<html>upstream prematurely cl"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one call. `after_s`: the delay, or how long the fault lasts, in seconds. `times`: how often
    it hits one key, or with `of_payment` one payment under any key; None: always."""

    do: Do
    after_s: float = 0.0
    times: int | None = None
    of_payment: bool = False


def _fault(do: Do, times: int | None = None, *, of_payment: bool = False) -> Fault:
    return Fault(do, _AFTER_S.get(do, 0.0), times, of_payment)


TOKEN_FAULTS: Final[Mapping[str, Fault]] = {
    "429": _fault("429"),
    "429_once": _fault("429", 1, of_payment=True),
    "429_twice": _fault("429", 2, of_payment=True),
    "500": _fault("500"),
    "500_once": _fault("500_once", 1),
    "garbage": _fault("garbage"),
    "hang": _fault("hang", 1),
    "late": _fault("late"),
    "lost": _fault("lost"),
    "outage": _fault("outage"),
    "reset_before": _fault("reset", 1),
    "slow": _fault("slow"),
    "slow_body": _fault("slow_body"),
    "timeout": _fault("timeout"),
    "wrong_amount": _fault("wrong_amount"),
    "wrong_currency": _fault("wrong_currency"),
}
"""Every fault that a payment's token can choose, by its name within the token. The same for every PSP."""

LATER_CALLS: Final[tuple[On, ...]] = ("capture", "cancel", "refund")
"""The calls about a payment that exists already."""


@dataclass(frozen=True, slots=True)
class TokenFault:
    """The fault that a payment's token chooses, and the kind of call that it hits."""

    on: On
    fault: Fault

    def effect(self, call: str | None = None) -> str:
        """Describes it on the simulator's page. `call`: what the PSP calls this kind of call, else `on`."""
        do, times = self.fault.do, self.fault.times
        return f"{do} at the {call or self.on}{'' if do.endswith('_once') else _often(times)}"


def fault_at(chosen: TokenFault | None, on: On) -> Fault | None:
    """The chosen fault where it hits calls of this kind, else None."""
    return chosen.fault if chosen is not None and chosen.on == on else None


@dataclass(frozen=True, slots=True)
class TokenNames:
    """The names of a PSP's tokens that choose a fault. `pattern`: a token with `{}` for the fault's name; a
    token for a later call has the call's kind and a separator before the name. `first`: the call at which
    money is held or taken. `not_at_first`: faults that cannot show in the response to that call."""

    pattern: str
    separator: str = "_"
    first: On = "create"
    later: tuple[On, ...] = LATER_CALLS
    not_at_first: Collection[str] = ()
    faults: Mapping[str, Fault] = field(default_factory=lambda: TOKEN_FAULTS)

    def at_first(self) -> dict[str, TokenFault]:
        """The tokens whose fault hits the first call."""
        return {
            self._token(name): TokenFault(self.first, fault)
            for name, fault in self.faults.items()
            if name not in self.not_at_first
        }

    def at_later(self) -> dict[str, TokenFault]:
        """The tokens whose first call succeeds and whose fault hits one kind of later call."""
        return {
            self._token(f"{on}_{name}"): TokenFault(on, fault)
            for on in self.later
            for name, fault in self.faults.items()
        }

    def _token(self, name: str) -> str:
        return self.pattern.format(name.replace("_", self.separator))


@dataclass(frozen=True, slots=True)
class Declines:
    """The attempts that a declining token declines: the first `attempts` at one payment (None: all), or those
    at the account that is named first alone."""

    attempts: int | None = None
    first_account_only: bool = False

    @property
    def effect(self) -> str:
        """Follows the decline on the simulator's page: empty, or a comma and how often or where."""
        return ", at the account named first" if self.first_account_only else _often(self.attempts)


ALWAYS: Final = Declines()
ONCE: Final = Declines(1)
TWICE: Final = Declines(2)
AT_FIRST_ACCOUNT: Final = Declines(first_account_only=True)


def _often(times: int | None) -> str:
    return "" if not times else {1: ", once", 2: ", twice"}.get(times, f", {times} times")


@dataclass(frozen=True, slots=True)
class HitCounts:
    """Counts how often the faults and declines that tokens chose have hit. In memory: a restart starts them
    anew."""

    counts: dict[str, int] = field(default_factory=dict)

    def hits(self, fault: Fault, key: str | None, payment: str | None) -> bool:
        """Counts one call, and returns whether the fault hits it."""
        return fault.times is None or self._take(payment if fault.of_payment else key, fault.times)

    def declines(self, declines: Declines, payment: str | None, *, at_first_account: bool) -> bool:
        """Counts one attempt at the payment, and returns whether the token declines it."""
        if declines.first_account_only:
            return at_first_account
        return declines.attempts is None or self._take(payment, declines.attempts)

    def _take(self, name: str | None, times: int) -> bool:
        """True if this is among the first so many calls of its name. A call without a name looks like its own
        repeat, so it always is."""
        if name is None:
            return True
        taken = self.counts.get(name, 0)
        self.counts[name] = taken + 1
        return taken < times


class FaultRule(BaseModel):
    """A fault as the control switches it on. It hits a `share` of the calls, 0 to 1, each key `times` times;
    or the `next` calls, whatever their keys. `account`: of this account alone. `after_s`: in seconds, instead
    of the fault's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    on: On
    do: Do
    account: Annotated[str, Field(max_length=64)] | None = None
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
            raise ValueError("only a search can find nothing")
        if self.do == "flap" and self.on not in _READS:
            raise ValueError("only a read shows an earlier status")
        return self

    def draws(self, call: str) -> bool:
        """True if the call belongs to the rule's share."""
        drawn = blake2b(f"{self.seed}/{self.on}/{self.do}/{call}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < (self.share or 0) * 2**64


@dataclass(slots=True)
class FaultRules:
    """The rules in force at one PSP. `hits`: by `<on>/<do>`, how often each has hit; what was hit is
    remembered, in memory, until the rules change."""

    rules: list[FaultRule] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    _met: dict[tuple[int, str], int] = field(default_factory=dict)

    def replace(self, rules: list[FaultRule]) -> None:
        """Puts these rules in force instead of those before, and forgets what was hit."""
        self.rules, self.hits, self._met = list(rules), {}, {}

    def choose(self, on: On, call: str, *, repeat: bool = False) -> Fault | None:
        """The fault of the first rule that hits this call, else None. `call`: what a repeat has in common
        with it, the account's name and its key or path. `repeat`: its key has a response already; only then
        can the PSP forget it."""
        for number, rule in enumerate(self.rules):
            able = repeat or rule.do != "key_expired"
            theirs = rule.account is None or call.startswith(f"{rule.account}/")
            if rule.on == on and able and theirs and self._hits(number, rule, call):
                label = f"{on}/{rule.do}"
                self.hits[label] = self.hits.get(label, 0) + 1
                return Fault(rule.do, rule.after_s or _AFTER_S.get(rule.do, 0.0))
        return None

    def _hits(self, number: int, rule: FaultRule, call: str) -> bool:
        counted, limit = ("", rule.next) if rule.next is not None else (call, rule.times)
        met = self._met.get((number, counted), 0)
        if met >= limit or (rule.share is not None and not rule.draws(call)):
            return False
        self._met[number, counted] = met + 1
        return True


async def before_call(
    request: web.Request,
    fault: Fault,
    refusal: Callable[[Literal["rate_limited", "broken", "unavailable"]], Exception],
) -> web.StreamResponse | None:
    """Applies a fault that hits the call before anything is done. Returns the response that is sent instead
    of the call, None where the call is done now. Raises what `refusal` makes of an error in the PSP's own
    words."""
    match fault.do:
        case "429" | "burst_429":
            raise refusal("rate_limited")
        case "500" | "500_once":
            raise refusal("broken")
        case "503":
            raise refusal("unavailable")
        case "reset":
            return cut(request, reset=True)
        case "slow" | "late":
            await asyncio.sleep(fault.after_s)
    return None


async def after_call(request: web.Request, fault: Fault, response: web.Response) -> web.StreamResponse:
    """Applies a fault to the response about a call that was done."""
    match fault.do:
        case "lost" | "late" | "outage":
            return cut(request, reset=False)
        case "garbage":
            return web.Response(status=200, body=_GARBAGE, content_type="text/html")
        case "timeout":
            await asyncio.sleep(fault.after_s)
        case "slow_body":
            return _SlowBody(fault.after_s, response)
    return response


def cut(request: web.Request, *, reset: bool) -> web.StreamResponse:
    """Ends the connection, with `reset` by a TCP reset. The response that it returns never reaches the
    client."""
    if request.transport is not None:
        if reset:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    return web.Response(status=500)


class _SlowBody(web.Response):
    """Sends the headers at once and the body in parts over `seconds`."""

    def __init__(self, seconds: float, response: web.Response) -> None:
        assert isinstance(response.body, bytes)
        super().__init__(status=response.status, body=response.body, headers=response.headers)
        self._seconds = seconds
        self._whole = response.body

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends the body, `data` being empty: aiohttp calls it without any."""
        size = max(1, -(-len(self._whole) // _SLOW_PARTS))
        for start in range(0, len(self._whole), size):
            await asyncio.sleep(self._seconds / _SLOW_PARTS)
            await self.write(self._whole[start : start + size])
        await web.StreamResponse.write_eof(self)
