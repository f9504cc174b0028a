"""At Adyen a webhook is the first to report how a sale ended: whoever takes it tells health."""

import pytest

from aggregates import outcomes
from aggregates.operation import OperationState
from commands.samples import SAMPLES_MAX
from commands.webhook_samples import AccountSample, batches, sample_after, state_before
from tests.support.builders import WEBHOOK_ONLY, cause, operation_of, payment, record_outcome, report

S = OperationState


def told(before: OperationState, kind: str, source: str = "webhook") -> AccountSample | None:
    made = payment(WEBHOOK_ONLY)
    if before is not S.STARTED:
        outcomes.take(made, report(operation_of(made), before), WEBHOOK_ONLY, cause())
    message = record_outcome(made, kind=kind).model_copy(update={"source": source})
    state = state_before(message, made)
    outcomes.take(made, report(operation_of(made), S(kind), source=source), WEBHOOK_ONLY, cause())
    return sample_after(message, state, made)


@pytest.mark.parametrize(
    ("before", "kind", "outcome", "late"),
    [
        (S.PENDING, "APPROVED", "approved", None),
        (S.PENDING, "DECLINED_SOFT", "declined", None),
        (S.UNKNOWN, "APPROVED", "approved", "query"),
        (S.STARTED, "APPROVED", "approved", None),
    ],
)
def test_a_webhook_that_ends_an_operation_is_a_sample(before, kind, outcome, late):
    found = told(before, kind)

    assert (found.gateway, found.account) == ("adyen", "ady")
    assert (found.sample.kind, found.sample.outcome, found.sample.late) == ("sale", outcome, late)
    assert found.sample.segment == "sale/card/EUR/unknown"


def test_a_response_to_a_call_is_the_agents_to_sample():
    assert told(S.PENDING, "APPROVED", source="call") is None


def test_a_webhook_that_ends_nothing_is_no_sample():
    assert told(S.STARTED, "PENDING") is None


def test_a_webhook_about_what_has_ended_is_no_second_sample():
    made = payment(WEBHOOK_ONLY)
    outcomes.take(made, report(operation_of(made), S.APPROVED), WEBHOOK_ONLY, cause())

    message = record_outcome(made).model_copy(update={"source": "webhook"})
    assert state_before(message, made) is None


def test_samples_are_sent_by_account_in_bounded_batches():
    one = told(S.PENDING, "APPROVED")
    other = one._replace(account="other")

    made = list(batches([one] * (SAMPLES_MAX + 1) + [other]))

    assert [(batch.account, len(batch.samples)) for batch in made] == [
        ("ady", SAMPLES_MAX),
        ("ady", 1),
        ("other", 1),
    ]
