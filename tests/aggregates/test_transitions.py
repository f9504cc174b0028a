"""Every transition that is not in the tables: what would lead there is refused, or recorded beside the
record."""

from dataclasses import replace

import pytest

from aggregates import attempts, merchant_commands
from aggregates.decision import Refused
from aggregates.operation import NOT_EXECUTED, OperationState
from aggregates.operation import TRANSITIONS as OF_OPERATIONS
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import BY_OPERATOR, TRANSITIONS, Status
from tests.support.builders import NOW, ROUTE, authorized, cause, operation_of, payment, payment_request
from tests.support.payments_by_status import COMMANDS, LEADING_TO, STANDING, Send, command, say

S = OperationState
T = Status
ILLEGAL = [
    (before, after)
    for before in STANDING
    for after in Status
    if after is not before and after not in TRANSITIONS[before]
]
ILLEGAL_OF_OPERATIONS = [
    (before, after)
    for before in OperationState
    for after in OperationState
    if after is not before and after not in OF_OPERATIONS[before] and after is not S.STARTED
]
MAY_MOVE_MONEY = {T.PROCESSING, T.REQUIRES_ACTION, T.IN_DOUBT, T.AUTHORIZED, T.PARTIALLY_CAPTURED}
NOWHERE = {T.REQUESTED, T.REJECTED, T.IN_REVIEW}
"""No message leads to these: every message is sent instead, and some of them may do something else."""
TAKEN = {T.PARTIALLY_CAPTURED, T.CAPTURED, T.PARTIALLY_REFUNDED, T.REFUNDED, T.DISPUTED}
OVER = {T.VOIDED, T.EXPIRED, T.FAILED}

_NO_AUTHORIZATION = ("not_authorized", "not_authorized", "nothing_captured")
_ALL_USED = ("nothing_to_capture", "nothing_to_void")
_ENDED = ("authorization_expired", "authorization_expired", "nothing_captured", "authorization_expired")
RULES: dict[Status, list[tuple[str | None, ...]]] = {
    T.REJECTED: [(*_NO_AUTHORIZATION, "nothing_to_cancel")],
    T.IN_REVIEW: [(*_NO_AUTHORIZATION, None)],
    T.PROCESSING: [(*_NO_AUTHORIZATION, None)] * 3,
    T.REQUIRES_ACTION: [(*_NO_AUTHORIZATION, None)],
    T.IN_DOUBT: [
        (*_NO_AUTHORIZATION, None),
        ("capture_in_flight", "capture_in_flight", "nothing_captured", "already_captured"),
    ],
    T.AUTHORIZED: [(None, None, "nothing_captured", None)] * 2,
    T.PARTIALLY_CAPTURED: [(*_ALL_USED, None, "already_captured"), (None, None, None, "already_captured")],
    T.CAPTURED: [(*_ALL_USED, None, "already_captured")] * 2,
    T.PARTIALLY_REFUNDED: [(*_ALL_USED, None, "already_captured")] * 2,
    T.REFUNDED: [(*_ALL_USED, "refund_exceeds_captured", "already_captured")] * 2,
    T.VOIDED: [
        (*_ALL_USED, "nothing_captured", "nothing_to_void"),
        (*_ALL_USED, "nothing_captured", "already_canceled"),
        (*_NO_AUTHORIZATION, "already_canceled"),
    ],
    T.EXPIRED: [_ENDED, _ENDED, (*_NO_AUTHORIZATION, "nothing_to_cancel")],
    T.FAILED: [(*_NO_AUTHORIZATION, "nothing_to_cancel")],
    T.DISPUTED: [(*_ALL_USED, "refund_exceeds_captured", "already_captured")] * 2,
}
"""Which rule refuses capture, void, refund and cancel, for each payment of `STANDING`; None: none does."""

_AMOUNTS = (
    "authorized_minor",
    "captured_minor",
    "refunded_minor",
    "disputed_minor",
    "reserved_minor",
    "capturable_minor",
    "refundable_minor",
)
_NOTHING = (0, 0, 0, 0, 0, 0, 0)
_HELD = (1099, 0, 0, 0, 0, 1099, 0)
_GIVEN_UP = (1099, 0, 0, 0, 0, 0, 0)
SHOWN: dict[Status, list[tuple[int, ...]]] = {
    T.REJECTED: [_NOTHING],
    T.IN_REVIEW: [_NOTHING],
    T.PROCESSING: [_NOTHING] * 3,
    T.REQUIRES_ACTION: [_NOTHING],
    T.IN_DOUBT: [_NOTHING, (1099, 0, 0, 0, 500, 599, 0)],
    T.AUTHORIZED: [_HELD] * 2,
    # The PSP of the first captures once, and releases what is left.
    T.PARTIALLY_CAPTURED: [(1099, 500, 0, 0, 0, 0, 500), (1099, 500, 0, 0, 0, 599, 500)],
    T.CAPTURED: [(1099, 1099, 0, 0, 0, 0, 1099)] * 2,
    T.PARTIALLY_REFUNDED: [(1099, 1099, 500, 0, 0, 0, 599)] * 2,
    T.REFUNDED: [(1099, 1099, 1099, 0, 0, 0, 0)] * 2,
    T.VOIDED: [_GIVEN_UP, _GIVEN_UP, _NOTHING],
    T.EXPIRED: [_GIVEN_UP, _GIVEN_UP, _NOTHING],
    T.FAILED: [_NOTHING],
    T.DISPUTED: [(1099, 1099, 0, 1099, 0, 0, 0)] * 2,
}
"""The amounts that a refusal shows, in the order of `_AMOUNTS`, by what each payment of `STANDING` moved."""


def _refusal(send: Send, made: Payment) -> Refused | None:
    try:
        send(made)
    except Refused as no:
        return no
    return None


@pytest.mark.parametrize(("before", "after"), ILLEGAL)
def test_what_is_not_in_the_table_is_refused_or_recorded_and_never_applied(before: Status, after: Status):
    for make in STANDING[before]:
        for what, send in LEADING_TO[after].items():
            made = make()
            version, totals = made.version, made.totals
            ended = {o.id for o in made.operations.values() if o.state in NOT_EXECUTED}
            assert made.status is before
            if (no := _refusal(send, made)) is not None:
                assert (made.version, no.amounts["captured_minor"]) == (version, totals.captured), what
                continue
            assert made.status is not after, what
            assert made.status is before or made.status in TRANSITIONS[before], what
            if before not in MAY_MOVE_MONEY and after not in NOWHERE:
                assert replace(made.totals, disputed=0) == replace(totals, disputed=0), what
            if ended and what.endswith("of approval"):
                assert ended & made.frozen_by, what


@pytest.mark.parametrize("before", list(STANDING))
def test_each_command_is_refused_by_the_rule_that_forbids_it_there(before: Status):
    stories = zip(STANDING[before], RULES[before], SHOWN[before], strict=True)
    for make, (capture, void, refund, cancel), minors in stories:
        by = {"capture": capture, "final capture": capture, "void": void, "refund": refund, "cancel": cancel}
        for what, send in COMMANDS.items():
            made = make()
            version = made.version
            if (rule := by[what]) is None:
                send(made)
                assert made.version > version
                continue
            with pytest.raises(Refused, match=f"^{rule}: ") as refused:
                send(made)
            assert made.version == version
            amounts = {
                name: minor for name, minor in refused.value.amounts.items() if name != "requested_minor"
            }
            assert amounts == dict(zip(_AMOUNTS, minors, strict=True))


def _capturing() -> Payment:
    made = authorized()
    merchant_commands.capture(made, 500, command(), final=False)
    return made


@pytest.mark.parametrize("source", ["call", "query", "webhook"])
@pytest.mark.parametrize(("before", "after"), ILLEGAL_OF_OPERATIONS)
@pytest.mark.parametrize("make", [payment, _capturing], ids=["sale", "capture"])
def test_an_operation_goes_nowhere_its_table_does_not_lead(make, before, after, source):
    made = make()
    name = operation_of(made)
    if before is not S.STARTED:
        say(made, before)
    approved = made.operations[name].approved_minor

    say(made, after, name, source=source)

    assert (made.operations[name].state, made.operations[name].approved_minor) == (before, approved)
    if after is S.APPROVED:
        assert name in made.frozen_by


# The tables themselves: what no edge may be added to without a decision


@pytest.mark.parametrize("before", sorted(TAKEN))
def test_what_was_taken_is_never_untaken_by_a_command_a_report_or_a_timer(before):
    assert TRANSITIONS[before] <= TAKEN | {T.IN_DOUBT}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (T.CAPTURED, T.PARTIALLY_CAPTURED),
        (T.REFUNDED, T.CAPTURED),
        (T.REFUNDED, T.PARTIALLY_CAPTURED),
        (T.PARTIALLY_REFUNDED, T.CAPTURED),
        (T.PARTIALLY_REFUNDED, T.PARTIALLY_CAPTURED),
        (T.AUTHORIZED, T.FAILED),
        (T.AUTHORIZED, T.PROCESSING),
        (T.AUTHORIZED, T.REFUNDED),
        (T.IN_DOUBT, T.REJECTED),
    ],
)
def test_no_refund_is_undone_and_nothing_held_is_forgotten(before, after):
    assert after not in TRANSITIONS[before]


@pytest.mark.parametrize("before", sorted(OVER))
def test_what_is_over_moves_only_while_a_duplicate_charge_is_given_back(before):
    assert TRANSITIONS[before] == {T.IN_DOUBT}


@pytest.mark.parametrize("before", sorted(TAKEN | OVER | {T.AUTHORIZED}))
def test_not_even_an_operator_sets_a_payment_back_to_where_nothing_was_decided(before):
    assert BY_OPERATOR[before].isdisjoint(
        {T.REQUESTED, T.REJECTED, T.IN_REVIEW, T.PROCESSING, T.REQUIRES_ACTION}
    )


@pytest.mark.parametrize("before", [T.PARTIALLY_REFUNDED, T.REFUNDED])
def test_an_operator_cannot_untake_what_was_given_back(before):
    assert BY_OPERATOR[before] <= TAKEN | {T.IN_DOUBT}


@pytest.mark.parametrize(("route", "expires_at"), [(ROUTE, None), (Route(()), None), (ROUTE, NOW)])
def test_a_create_leaves_no_payment_that_was_only_requested(route, expires_at):
    fields = {} if expires_at is None else {"expires_at": expires_at}
    made = attempts.request(payment().id, payment_request(**fields), route, cause(fingerprint="f"))

    assert made.status in TRANSITIONS[T.REQUESTED]
