"""Outcomes that adapters build in one way, whatever the PSP's words are. Nothing here raises for what a PSP
sends."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from commands.balances import Balances, Move
from commands.messages import Outcome
from gateways.contract import HttpResponse
from gateways.wire import redaction
from gateways.wire.money import MINOR_MAX

Hint = Literal["RETRY_WITH_3DS", "FIX_INPUT", "REFRESH_TOKEN", "CONFIG"]

Verdict = Literal[
    "SOFT",
    "HARD",
    "DUPLICATE",
    "CONFIG",
    "REFUSED",
    "ACTION",
    "PENDING",
    "UNDECIDED",
    "BUSY",
    "BLOCKED",
    "APPROVED",
]

UNAVAILABLE: Final = frozenset({502, 503, 504})
"""HTTP statuses that speak of the PSP as a whole (RFC 9110, 15.6), and of no payment."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a PSP's code.

    `verdict`: SOFT and HARD are declines, after which another attempt may succeed or never does. DUPLICATE:
    an earlier execution may exist. CONFIG: the account is not set up for the call. REFUSED: the request is at
    fault, and nothing was done. ACTION: the payer has to agree. PENDING: it ends later. UNDECIDED: the bank
    did not respond, and still may. BUSY: refused for some seconds. BLOCKED: refused until a dispute has
    ended. APPROVED: the code of a success, which no decline has. Each PSP's tables use some of them.

    `listed`: the code stands in the adapter's table.
    """

    verdict: Verdict
    hint: Hint | None = None
    listed: bool = True


@dataclass(frozen=True, slots=True)
class DetailedOutcomes:
    """Builds the outcomes that prove no execution, with a detail in the PSP's words.

    `detail(response, quoted)`: the words for an operator, redacted; `quoted` is the PSP's error, or its whole
    body.
    """

    detail: Callable[[HttpResponse, Mapping[str, Any]], str | None]

    def unknown(
        self,
        response: HttpResponse,
        code: str,
        quoted: Any = None,
        *,
        about: str | None = None,
        **known: Any,
    ) -> Outcome:
        """UNKNOWN. `about`: goes before the PSP's words; `known`: more fields of the outcome."""
        words = self.detail(response, quoted if isinstance(quoted, dict) else {})
        return Outcome(kind="UNKNOWN", code=code, detail=redaction.joined("; ", about, words), **known)

    def not_sent(
        self,
        response: HttpResponse,
        code: str,
        quoted: Mapping[str, Any],
        hint: Hint | None = None,
        **known: Any,
    ) -> Outcome:
        """NOT_SENT, for a refusal that the PSP made before it did anything."""
        return Outcome(kind="NOT_SENT", code=code, detail=self.detail(response, quoted), hint=hint, **known)

    def of_another(self, response: HttpResponse, what: str, quoted: Any = None) -> Outcome:
        """UNKNOWN, for an object `what` of another operation. Its id stands in the detail only: a lookup by
        it would find the other one for ever."""
        about = f"{what} belongs to another reference"
        return self.unknown(response, "reference_mismatch", quoted, about=about, repeat_is_useless=True)


def hint_of_status(status: int) -> Hint | None:
    """Returns CONFIG for a redirect, which is never followed, and for 401 and 403: an operator has to see to
    the account."""
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def not_expressible(code: str, detail: str) -> Outcome:
    """NOT_SENT, for a call that the PSP's interface cannot express."""
    return Outcome(kind="NOT_SENT", code=code, detail=detail)


def status_text(what: str, entity: Mapping[str, Any]) -> str:
    """The status of an object, as a phrase for the detail."""
    return f"the {what}'s status is {redaction.code(entity.get('status')) or 'not readable'}"


def balances(
    captured_minor: int | None, refunded_minor: int | None, held_minor: int | None, moves: Iterable[Move] = ()
) -> Balances:
    """The balances of a payment, without the numbers that cannot be an amount."""

    def amount(minor: int | None) -> int | None:
        return minor if minor is not None and 0 <= minor <= MINOR_MAX else None

    return Balances(
        captured_minor=amount(captured_minor),
        refunded_minor=amount(refunded_minor),
        held_minor=amount(held_minor),
        moves=tuple(moves),
    )


def move(
    kind: Literal["capture", "refund"], psp_id: str | None, minor: int | None, known_as: tuple[str, ...] = ()
) -> list[Move]:
    """One move of money, in minor units. Empty: it has no id that distinguishes it from others, or moved
    nothing."""
    if psp_id is None or minor is None or not 0 < minor <= MINOR_MAX:
        return []
    return [Move(kind=kind, psp_id=psp_id, known_as=known_as, amount_minor=minor)]
