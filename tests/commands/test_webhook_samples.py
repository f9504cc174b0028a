"""At Adyen a webhook is the first to report how a sale ended: whoever takes it tells health."""

import pytest

from aggregates import outcomes
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.circuit import CircuitRules
from aggregates.routing.health import SegmentHealth
from aggregates.routing.payment_facts import payment_facts
from aggregates.routing.policy import Latency
from aggregates.routing.strategies import Ranked, rank
from commands.samples import SAMPLES_MAX
from commands.webhook_samples import AccountSample, batches, sample_after, state_before
from gateways.health.records import record_of
from tests.gateways.health.batches import START, Kept, batch, sample
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


@pytest.mark.parametrize("before", [S.PENDING, S.ACTION_REQUIRED, S.UNKNOWN])
def test_its_latency_is_that_of_the_last_call_and_not_the_time_until_the_webhook(before):
    made = payment(WEBHOOK_ONLY)
    name = operation_of(made)
    outcomes.take(made, report(name, before, call_ms=230.0), WEBHOOK_ONLY, cause())

    assert ended_by_webhook(made).sample.latency_ms == 230.0


def test_the_latency_of_a_cancel_or_a_query_is_not_that_of_the_operation():
    made = payment(WEBHOOK_ONLY)
    name = operation_of(made)
    outcomes.take(made, report(name, S.ACTION_REQUIRED, call_ms=230.0), WEBHOOK_ONLY, cause())
    for other in ({"step": "x"}, {"source": "query"}):
        outcomes.take(made, report(name, S.UNKNOWN, call_ms=9.0, **other), WEBHOOK_ONLY, cause())

    assert ended_by_webhook(made).sample.latency_ms == 230.0


@pytest.mark.parametrize("call_ms", [None, -1.0, 1e9, float("inf"), float("nan")])
def test_a_latency_that_no_sample_may_have_is_left_out(call_ms):
    made = payment(WEBHOOK_ONLY)
    outcomes.take(made, report(operation_of(made), S.PENDING, call_ms=call_ms), WEBHOOK_ONLY, cause())

    assert ended_by_webhook(made).sample.latency_ms is None


def test_the_latency_strategy_compares_an_account_whose_sales_end_by_webhook_with_the_others():
    kept = Kept()
    for number in range(20):
        made = payment(WEBHOOK_ONLY)
        kept.take(batch(sample("pending", latency_ms=100.0)), 2 * number)
        outcomes.take(made, report(operation_of(made), S.PENDING, call_ms=100.0), WEBHOOK_ONLY, cause())
        kept.take(batch(ended_by_webhook(made).sample), 2 * number + 1)

    p95_ms = {
        "ady": record_of("ady", kept.rows, CircuitRules(), START)[0].health().segments["sale"].p95_ms,
        "slow": 900.0,
    }
    known = {name: SegmentHealth(approved=20, p95_ms=one) for name, one in p95_ms.items()}
    candidates = [Ranked(name, None, "sale", one) for name, one in known.items()]
    ranking = rank(Latency(kind="latency", explore=0), candidates[::-1], payment_facts(made, 1), {})

    assert p95_ms["ady"] == 100.0
    assert ranking.order[0] == "ady"


def ended_by_webhook(made: Payment) -> AccountSample:
    message = record_outcome(made).model_copy(update={"source": "webhook"})
    state = state_before(message, made)
    outcomes.take(made, report(operation_of(made), source="webhook", call_ms=None), WEBHOOK_ONLY, cause())
    return sample_after(message, state, made)


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
