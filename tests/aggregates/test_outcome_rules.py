"""The order of the rules for a report, and of the conflicts: one report a rule, with the later ones that
apply to it too."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from aggregates import merchant_commands, outcomes
from aggregates.conflicts import CONFLICTS, find_conflict
from aggregates.operation import FOUND_TWICE, Balances, Move, Operation, OperationState
from aggregates.outcomes import RULES, find_rule
from aggregates.payment import Payment
from aggregates.received import Received
from aggregates.routing.route import Route
from tests.support.builders import (
    NOW,
    ROUTE,
    WEBHOOK_ONLY,
    authorized,
    captured,
    cause,
    operation_of,
    payment,
    report,
)

S = OperationState
LATER = NOW + timedelta(minutes=1)
EARLIER = NOW - timedelta(minutes=1)
# The gateway takes a sale in steps, the last of them sent by us.
STEPS = replace(WEBHOOK_ONLY, accounts=(replace(WEBHOOK_ONLY.accounts[0], final_call_by="us"),))


def received(
    made: Payment,
    state: OperationState = S.APPROVED,
    operation: str | None = None,
    route: Route = ROUTE,
    **other,
) -> Received:
    about = operation or operation_of(made)
    return Received(made, made.operations[about], report(about, state, **other), route, cause(LATER))


def say(made: Payment, state: OperationState, **other) -> None:
    outcomes.take(made, report(operation_of(made), state, **other), ROUTE, cause(NOW))


def left_to_webhooks() -> Payment:
    """Authorized at a PSP without a status API."""
    return authorized(WEBHOOK_ONLY)


def with_state(state: OperationState, route: Route = ROUTE) -> Payment:
    made = payment(route)
    only(made).state = state
    only(made).psp_id = "pi_1"
    return made


def only(made: Payment) -> Operation:
    (operation,) = made.operations.values()
    return operation


def cancel_sent() -> Payment:
    made = payment(capture="manual")
    say(made, S.ACTION_REQUIRED, action_url="https://psp/3ds")
    merchant_commands.cancel(made, cause(NOW, fingerprint="f"))
    assert only(made).cancel_sent
    return made


def confirming() -> Payment:
    made = captured()
    say(made, S.DECLINED_HARD, source="webhook", observed_at=LATER)
    assert only(made).confirming
    return made


def externally_captured() -> Payment:
    made = authorized()
    made.record_external_move(
        "capture",
        only(made),
        1099,
        cause(NOW),
        psp_id="ch_1",
        final=True,
        observed_at=NOW,
        reason="captured at the PSP",
    )
    return made


def in_step(step: str, route: Route = STEPS) -> Payment:
    made = payment(route, capture="manual")
    only(made).step = step
    only(made).psp_id = "pi_1"
    return made


def webhook(state: OperationState, made: Payment, **other) -> Received:
    return received(made, state, source="webhook", **{"observed_at": LATER} | other)


EXAMPLES: Final[dict[str, tuple[Callable[[], Received], tuple[str, ...]]]] = {
    "signed_before": (
        lambda: webhook(S.DECLINED_HARD, captured(), signed_before=True),
        ("failure_of_approved", "hint"),
    ),
    "of_external_operation": (
        lambda: webhook(S.DECLINED_HARD, externally_captured()),
        ("failure_of_approved", "hint"),
    ),
    "of_external_move": (
        lambda: webhook(
            S.UNKNOWN,
            with_state(S.PENDING, WEBHOOK_ONLY),
            balances=Balances(moves=(Move("refund", "re_1", 5),)),
        ),
        ("progress",),
    ),
    "of_earlier_step": (
        lambda: received(in_step("2"), S.PENDING, next_step="2", amount_minor=5),
        ("conflict", "progress"),
    ),
    "challenge_before_cancel": (
        lambda: received(cancel_sent(), S.ACTION_REQUIRED, observed_at=EARLIER),
        ("challenge_after_cancel",),
    ),
    "challenge_after_cancel": (
        lambda: received(cancel_sent(), S.ACTION_REQUIRED, observed_at=LATER),
        ("progress",),
    ),
    "conflict": (
        lambda: received(confirming(), amount_minor=5, source="query", observed_at=LATER),
        ("result_of_confirm",),
    ),
    "names_the_id": (
        lambda: received(unnamed(), S.APPROVED, source="query", observed_at=LATER),
        ("result_of_confirm",),
    ),
    "result_of_confirm": (
        lambda: received(lapse_in_question(), S.EXPIRED, source="query", observed_at=LATER),
        ("lapse",),
    ),
    "lapse": (lambda: webhook(S.EXPIRED, authorized()), ("hint",)),
    "failure_of_approved": (lambda: webhook(S.DECLINED_HARD, captured()), ("hint",)),
    "hint": (lambda: webhook(S.DECLINED_HARD, payment()), ("progress",)),
    "unreached": (lambda: received(payment(), S.UNREACHED), ("progress",)),
    "progress": (lambda: received(payment()), ()),
    "repeat": (lambda: received(captured()), ()),
}
"""By rule: a report that it decides, and the later rules, beside `repeat`, that would apply to it as well."""


def unnamed() -> Payment:
    """Executed under an id that nobody has named, and queried about since."""
    made = confirming()
    only(made).psp_id = None
    return made


def lapse_in_question() -> Payment:
    made = authorized()
    say(made, S.EXPIRED, source="webhook", observed_at=NOW + timedelta(seconds=2))
    assert only(made).confirming
    return made


def test_there_is_a_report_for_every_rule_in_the_order_of_the_table():
    assert list(EXAMPLES) == [rule.name for rule in RULES]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rule_decides_before_the_later_ones_that_apply_too(name: str):
    make, later = EXAMPLES[name]
    example = make()

    applying = [rule.name for rule in RULES if rule.applies(example)]

    assert find_rule(example).name == name
    assert applying == list(dict.fromkeys((name, *later, "repeat")))


def declined_step() -> Payment:
    made = in_step("1")
    only(made).state = S.DECLINED_HARD
    return made


def two_charges(state: OperationState = S.STARTED) -> Payment:
    """A second attempt, in this state, beside an approved first one."""
    made = payment()
    made.operations["second"] = replace(only(made), id="second", ordinal=2, state=state)
    say_of_first = report(next(iter(made.operations)))
    outcomes.take(made, say_of_first, ROUTE, cause(NOW))
    return made


CONFLICTING: Final[dict[str, tuple[Callable[[], Received], tuple[str, ...]]]] = {
    "found_twice": (
        lambda: received(captured(), S.DECLINED_HARD, code=FOUND_TWICE, source="query", observed_at=LATER),
        ("approval_gone",),
    ),
    "second_authorization": (
        lambda: webhook(S.PENDING, in_step("1"), psp_id="pi_2", next_step="2", amount_minor=5),
        ("authorization_of_other_money",),
    ),
    "authorization_of_other_money": (
        lambda: received(declined_step(), S.PENDING, next_step="2", amount_minor=5),
        ("authorized_after_decline",),
    ),
    "authorized_after_decline": (lambda: received(declined_step(), S.PENDING, next_step="2"), ()),
    "under_way_after_absence": (lambda: received(with_state(S.PROVEN_ABSENT), S.PENDING), ()),
    "approval_gone": (
        lambda: received(captured(), S.PROVEN_ABSENT, source="query", observed_at=LATER),
        (),
    ),
    "approval_of_other_money": (
        lambda: received(captured(), amount_minor=2000, psp_id="pi_2"),
        ("executed_twice", "approved_again_otherwise"),
    ),
    "executed_twice": (
        lambda: received(captured(), amount_minor=5, psp_id="pi_2"),
        ("approved_again_otherwise",),
    ),
    "approved_again_otherwise": (lambda: received(captured(), amount_minor=5), ()),
    "approved_after_end": (
        lambda: received(two_charges(S.DECLINED_HARD), operation="second"),
        ("approved_beside",),
    ),
    "approved_beside": (lambda: received(two_charges(), operation="second"), ()),
}
"""As `EXAMPLES`, of the reasons for which a report contradicts the record."""


def test_there_is_a_report_for_every_conflict_in_the_order_of_the_table():
    assert list(CONFLICTING) == [conflict.name for conflict in CONFLICTS]


@pytest.mark.parametrize("name", CONFLICTING)
def test_a_conflict_is_named_before_the_later_ones_that_hold_too(name: str):
    make, later = CONFLICTING[name]
    example = make()

    conflict = find_conflict(example)

    assert conflict is not None
    assert conflict.name == name
    assert [one.name for one in CONFLICTS if one.applies(example)] == [name, *later]
    assert conflict.reason(example)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (S.DECLINED_SOFT, "DECLINED_SOFT at the PSP, after it was approved"),
        (S.DECLINED_HARD, "DECLINED_HARD at the PSP, after it was approved"),
        (S.EXPIRED, "EXPIRED at the PSP, after it was approved"),
        (S.PROVEN_ABSENT, "the PSP no longer knows what it had approved"),
    ],
)
def test_only_an_approval_that_the_psp_does_not_find_is_called_unknown_to_it(state, reason):
    example = received(captured(), state, source="query", observed_at=LATER)

    conflict = find_conflict(example)

    assert conflict is not None
    assert (conflict.name, conflict.reason(example)) == ("approval_gone", reason)
