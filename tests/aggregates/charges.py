"""A payment that was charged twice, and the reports and decisions about it."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from aggregates import merchant_commands, outcomes, resolution
from aggregates.decision import Refused
from aggregates.operation import OperationState
from aggregates.payment import Payment
from tests.support.builders import (
    NOW,
    TWO_ACCOUNTS,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState
LATER = NOW + timedelta(minutes=1)


def command():
    return cause(LATER, uuid4(), fingerprint="content")


def say(made: Payment, operation: str, state: OperationState = S.APPROVED, **other) -> None:
    """Each a second later than the one before."""
    observed_at = NOW + timedelta(seconds=made.version)
    fields = {"psp_id": f"psp_{operation[-2:]}", "observed_at": observed_at} | other
    outcomes.take(made, report(operation, state, **fields), TWO_ACCOUNTS, cause(LATER))


def resolve(
    made: Payment, operation: str, decision: str, amount_minor: int | None = None, now: datetime = LATER
) -> None:
    by = {"evidence": "statement of 22 Nov", "who": "ada"}
    why = cause(now, uuid4(), fingerprint="f")
    resolution.resolve(made, operation, decision, amount_minor, **by, cause=why)


def twice_charged(capture: str = "automatic") -> tuple[Payment, str, str]:
    """The second attempt charged, and then the first, which was proven absent, turns out to have charged
    too."""
    made = payment(TWO_ACCOUNTS, capture=capture)
    first = operation_of(made)
    say(made, first, S.PROVEN_ABSENT, source="query")
    second = operation_of(made)
    say(made, second)
    say(made, first, source="webhook")
    return made, first, second


def given_back(made: Payment) -> list[int]:
    return [o.amount.minor for o in made.operations.values() if o.kind == "refund"]


def refusal(
    made: Payment, operation: str, decision: str, amount_minor: int | None = None, now: datetime = LATER
) -> Refused:
    """Which records nothing and shows how the payment stands."""
    version = made.version
    with pytest.raises(Refused) as refused:
        resolve(made, operation, decision, amount_minor, now)
    assert made.version == version
    requested = {} if amount_minor is None else {"requested_minor": amount_minor}
    assert refused.value.amounts == merchant_commands.amounts(made) | requested
    return refused.value
