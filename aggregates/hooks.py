"""The verdicts of a merchant's hooks on a new payment, and what follows from them. Pure.

Invariant: a verdict is an input of the decision, taken once. Its event records it, and nothing runs again at
a replay or for a repeated command.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from aggregates import events
from aggregates.decision import Cause
from aggregates.payment import Payment
from aggregates.routing.facts import Hints

HookKind = Literal["pre_validation", "fraud", "routing"]
HookDecision = Literal["allow", "deny", "review"]
FailureMode = Literal["open", "closed"]
KINDS: Final[tuple[HookKind, ...]] = get_args(HookKind)
"""The kinds of hooks that a new payment meets, in this order."""

NO_HINTS: Final = Hints()
DENIED: Final = "denied_by_fraud_check"
FAILED: Final = "hook_failed"
"""The code of a payment, or of an operation's try, for which a hook that fails closed gave no verdict."""
HELD: Final = "held_for_review"
DENIED_BEFORE_SENT: Final = "denied_by_hook"
"""The code of an operation that a lifecycle hook did not let go to the PSP."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of one hook on one payment. `score`: the hook's own, 0.0 to 1.0, the higher the riskier.
    `code`: of a denial. `reason`: the hook's words. `failed`: why the hook gave no decision, in which case
    its `failure_mode` decided; None: the hook decided. `took_ms`: until its decision, or until it was given
    up. `hints`: of a routing hook."""

    hook: str
    kind: HookKind
    decision: HookDecision
    took_ms: float
    score: float | None = None
    code: str | None = None
    reason: str | None = None
    failed: str | None = None
    failure_mode: FailureMode | None = None
    hints: Hints = NO_HINTS


@dataclass(frozen=True, slots=True)
class Denial:
    """The code and the words with which a payment is rejected."""

    code: str
    detail: str


def record(payment: Payment, verdicts: Iterable[Verdict], cause: Cause) -> None:
    """Records each verdict in the payment's stream."""
    for verdict in verdicts:
        payment.trigger_event(
            events.HookDecided,
            hook=verdict.hook,
            kind=verdict.kind,
            decision=verdict.decision,
            score=verdict.score,
            code=verdict.code,
            reason=verdict.reason,
            failed=verdict.failed,
            failure_mode=verdict.failure_mode,
            took_ms=verdict.took_ms,
            only=verdict.hints.only,
            never=verdict.hints.never,
            prefer=verdict.hints.prefer,
            **cause.fields(),
        )


def denial(verdicts: Iterable[Verdict]) -> Denial | None:
    """Returns the first denial, with the code that a pre-validation hook gave, or one of ours. None: no hook
    denies the payment."""
    denied = next((one for one in verdicts if one.decision == "deny"), None)
    if denied is None:
        return None
    if denied.failed is not None:
        text = f"the {denied.kind} hook {denied.hook} gave no verdict ({denied.failed}), and it fails closed"
        return Denial(FAILED, text)
    code = denied.code if denied.kind == "pre_validation" and denied.code else DENIED
    return Denial(code, denied.reason or f"the {denied.kind} hook {denied.hook} denied it")


def held_because(verdicts: Iterable[Verdict]) -> str | None:
    """Returns in words which hooks hold the payment for a person. None: none does."""
    held = [_in_words(one) for one in verdicts if one.decision == "review"]
    return "; ".join(held) or None


def hold(payment: Payment, reason: str, cause: Cause) -> None:
    """Holds the payment until a person decides, or until its time is over."""
    payment.trigger_event(events.Held, code=HELD, reason=reason, **cause.fields())


def _in_words(verdict: Verdict) -> str:
    score = "" if verdict.score is None else f" (score {verdict.score:.2f})"
    return f"{verdict.hook}{score}: {verdict.reason or 'a person has to look'}"
