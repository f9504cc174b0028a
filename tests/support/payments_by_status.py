"""Payments that stand in each status, each reached in the ways that differ for the rules; and what would lead
to another."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Final, Literal
from uuid import uuid4

from aggregates import attempts, disputes, merchant_commands, outcomes, review, timers
from aggregates.decision import Cause
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    ROUTE,
    authorized,
    captured,
    cause,
    held,
    operation_of,
    payment,
    payment_request,
    report,
    word,
)

S = OperationState
T = Status
LATER: Final = NOW + timedelta(minutes=1)
Make = Callable[[], Payment]
Send = Callable[[Payment], None]
_numbers = count()


def command() -> Cause:
    return cause(LATER, uuid4(), fingerprint="content")


def say(made: Payment, state: OperationState = S.APPROVED, operation: str | None = None, **other) -> None:
    """Of the newest operation, or of a named one: about all that was requested."""
    name = operation or operation_of(made)
    fields = {"amount_minor": made.operations[name].amount.minor, "psp_id": f"psp_{name}", "code": "code"}
    at = NOW + timedelta(seconds=2 + next(_numbers))
    outcomes.take(made, report(name, state, **fields | {"observed_at": at} | other), ROUTE, cause(LATER))


def dispute(made: Payment, amount_minor: int = 1099) -> None:
    disputes.take(made, word(made, amount_minor=amount_minor, observed_at=LATER), cause(LATER, uuid4()))


def _then(make: Make, *sends: Send) -> Make:
    def made() -> Payment:
        payment = make()
        for send in sends:
            send(payment)
        return payment

    return made


def _said(state: OperationState, **other) -> Send:
    return lambda made: say(made, state, **other)


def _done(send: Send) -> Send:
    """A command and, where it started an operation, the PSP's approval."""

    def sent(made: Payment) -> None:
        before = len(made.operations)
        send(made)
        if len(made.operations) > before:
            say(made)

    return sent


def _capture(amount_minor: int | None, *, final: bool = False) -> Send:
    return lambda made: merchant_commands.capture(made, amount_minor, command(), final=final)


def _refund(amount_minor: int | None) -> Send:
    return lambda made: merchant_commands.refund(made, amount_minor, command(), reason=None)


def _void(made: Payment) -> None:
    merchant_commands.void(made, command())


def _cancel(made: Payment) -> None:
    merchant_commands.cancel(made, command())


def _reviewed(decision: Literal["allow", "deny"]) -> Send:
    return lambda made: review.decide(made, decision, ROUTE, command(), evidence="a call", who="ada")


def _of_each(state: OperationState, source: str) -> Send:
    def sent(made: Payment) -> None:
        for name in list(made.operations):
            say(made, state, name, source=source)

    return sent


def _wake(after: timedelta) -> Send:
    return lambda made: timers.wake(made, ROUTE, cause(NOW + after))


def _multicapture() -> Payment:
    return authorized(MULTICAPTURE)


def _by_capture() -> Payment:
    made = authorized()
    _done(_capture(None))(made)
    return made


_WEEKS: Final = timedelta(days=15)

STANDING: Final[dict[Status, list[Make]]] = {
    T.REJECTED: [lambda: attempts.request(uuid4(), payment_request(), Route(()), cause(fingerprint="f"))],
    T.IN_REVIEW: [held],
    T.PROCESSING: [payment, _then(payment, _said(S.PENDING)), _then(payment, _said(S.NOT_SENT))],
    T.REQUIRES_ACTION: [_then(payment, _said(S.ACTION_REQUIRED))],
    T.IN_DOUBT: [_then(payment, _said(S.UNKNOWN)), _then(authorized, _capture(500), _said(S.UNKNOWN))],
    T.AUTHORIZED: [authorized, _multicapture],
    T.PARTIALLY_CAPTURED: [
        _then(authorized, _done(_capture(500))),
        _then(_multicapture, _done(_capture(500))),
    ],
    T.CAPTURED: [captured, _by_capture],
    T.PARTIALLY_REFUNDED: [_then(captured, _done(_refund(500))), _then(_by_capture, _done(_refund(500)))],
    T.REFUNDED: [_then(captured, _done(_refund(None))), _then(_by_capture, _done(_refund(None)))],
    T.VOIDED: [
        _then(authorized, _done(_void)),
        _then(authorized, _done(_cancel)),
        _then(payment, _cancel, _said(S.NOT_SENT)),
    ],
    T.EXPIRED: [
        _then(authorized, _said(S.EXPIRED, source="query", psp_id="pi_1")),
        _then(
            authorized,
            _wake(_WEEKS),
            _wake(_WEEKS),
            _said(S.APPROVED, source="query", psp_id="pi_1", observed_at=NOW + _WEEKS + timedelta(seconds=1)),
            _said(S.APPROVED),
        ),
        _then(payment, _said(S.ACTION_REQUIRED), _said(S.EXPIRED, source="query")),
    ],
    T.FAILED: [_then(payment, _said(S.DECLINED_HARD))],
    T.DISPUTED: [_then(captured, dispute), _then(_by_capture, dispute)],
}
"""None is REQUESTED: that is seen within one transaction only, and no message comes between."""

_SOURCES: Final = ("call", "query", "webhook")
_APPROVALS: Final = {f"{source} of approval": _of_each(S.APPROVED, source) for source in _SOURCES}
_DECLINES: Final = {
    f"{source} of {state}": _of_each(state, source)
    for source in _SOURCES
    for state in (S.DECLINED_HARD, S.DECLINED_SOFT, S.NOT_SENT, S.PROVEN_ABSENT)
}

LEADING_TO: Final[dict[Status, dict[str, Send]]] = {
    T.PROCESSING: {f"{source} of pending": _of_each(S.PENDING, source) for source in _SOURCES}
    | {"retry": _wake(timedelta(minutes=5)), "allowed": _reviewed("allow")},
    T.REQUIRES_ACTION: {
        f"{source} of a challenge": _of_each(S.ACTION_REQUIRED, source) for source in _SOURCES
    },
    T.IN_DOUBT: {f"{source} of doubt": _of_each(S.UNKNOWN, source) for source in _SOURCES},
    T.AUTHORIZED: _APPROVALS,
    T.PARTIALLY_CAPTURED: _APPROVALS
    | {"capture": _done(_capture(100)), "final": _done(_capture(100, final=True))},
    T.CAPTURED: _APPROVALS | {"capture": _done(_capture(None))},
    T.PARTIALLY_REFUNDED: {"refund": _done(_refund(100))},
    T.REFUNDED: {"refund": _done(_refund(None))},
    T.VOIDED: {"void": _done(_void), "cancel": _done(_cancel)},
    T.EXPIRED: {f"{source} of expiry": _of_each(S.EXPIRED, source) for source in _SOURCES}
    | {"timer": _wake(_WEEKS)},
    T.FAILED: _DECLINES,
    T.DISPUTED: {"dispute": dispute},
}
COMMANDS: Final[dict[str, Send]] = {
    "capture": _capture(None),
    "final capture": _capture(100, final=True),
    "void": _void,
    "refund": _refund(None),
    "cancel": _cancel,
}
_ALL: Final = {what: send for sends in list(LEADING_TO.values()) for what, send in sends.items()}
LEADING_TO[T.REQUESTED] = LEADING_TO[T.IN_REVIEW] = _ALL
LEADING_TO[T.REJECTED] = _ALL | {"denied": _reviewed("deny")}
"""No message leads to the first two, and only a reviewer's to the last: all are sent."""
