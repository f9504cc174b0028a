from datetime import timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from aggregates.operation import OperationState
from aggregates.payment import Payment, Status
from projections import fold
from projections.fold import PaymentRow
from tests import controls
from tests.projections.stories import captured, event_of, requested, stored

_STATES = st.sampled_from([state for state in OperationState if state is not OperationState.STARTED])
_REPORTS = st.tuples(
    st.just("report"),
    _STATES,
    st.integers(0, 3),  # which operation; one more than there can be
    st.sampled_from([1099, 5]),
    st.sampled_from([None, "insufficient_funds", "amount_not_expressible"]),
    st.sampled_from(["call", "query"]),
)
_WAKES = st.tuples(st.just("wake"), st.integers(1, 100_000))


def folded(payment: Payment) -> PaymentRow:
    row = PaymentRow(str(payment.id))
    for one in stored(payment):
        fold.apply(row, event_of(one))
    return row


def lived(steps: list[tuple]) -> Payment:
    payment = requested()
    now = controls.NOW
    for step in steps:
        cause = controls.cause(now, uuid4())
        match step:
            case "report", state, which, amount, code, source:
                known = list(payment.operations)
                operation = known[which] if which < len(known) else "unknown"
                url = "https://psp/3ds" if state is OperationState.ACTION_REQUIRED else None
                report = controls.report(
                    operation,
                    state,
                    amount_minor=amount,
                    code=code,
                    source=source,
                    action_url=url,
                    observed_at=now,
                )
                payment.report(report, 0.5, cause)
            case "wake", seconds:
                now += timedelta(seconds=seconds)
                payment.wake(controls.PSP, controls.cause(now, uuid4()))
    return payment


@given(st.lists(_REPORTS | _WAKES, max_size=12))
def test_the_row_stands_as_the_aggregate_does_after_the_same_events(steps):
    payment = lived(steps)

    row = folded(payment)

    assert row.status == payment.status
    assert row.version == payment.version
    assert row.captured_minor == payment.captured.minor
    assert row.frozen == payment.frozen
    assert row.reason == payment.reason
    assert {o.operation_id: o.state for o in row.operations.values()} == {
        o.id: o.state for o in payment.operations.values()
    }


def test_a_payment_that_was_never_started_is_rejected():
    cause = controls.cause(controls.NOW + timedelta(days=1))
    payment = Payment.request(controls.create_payment().payment_id, controls.asked(), controls.PSP, cause)

    row = folded(payment)

    assert row.status == Status.REJECTED == payment.status
    assert row.reason == "expired"


def test_the_address_for_the_payer_is_there_only_while_it_is_needed():
    payment = lived([("report", OperationState.ACTION_REQUIRED, 0, None, None, "call")])
    waiting = folded(payment)
    payment = lived(
        [
            ("report", OperationState.ACTION_REQUIRED, 0, None, None, "call"),
            ("report", OperationState.APPROVED, 0, 1099, None, "call"),
        ]
    )

    assert waiting.action_url == "https://psp/3ds"
    assert folded(payment).action_url is None


def test_an_unknown_type_of_event_moves_the_version_and_nothing_else():
    row = PaymentRow("p")
    first, second, third = map(event_of, captured())
    fold.apply(row, first)
    before = row.status
    blessed = type(second)(
        second.payment_id, 2, "payment.blessed.v1", fold.events.Other(third.body.timestamp)
    )

    fold.apply(row, blessed)

    assert (row.version, row.status) == (2, before)


def test_a_report_on_an_operation_that_is_unknown_here_moves_no_money():
    row = PaymentRow("p")
    first, _, approved = map(event_of, captured())
    fold.apply(row, first)

    fold.apply(row, approved)

    assert (row.status, row.captured_minor) == (Status.REQUESTED, 0)
