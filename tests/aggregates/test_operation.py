import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.money import Money
from aggregates.operation import (
    ENDED,
    KINDS,
    OPERATION_ID,
    QUERY_AFTER,
    TRANSITIONS,
    Kind,
    Operation,
    OperationState,
    kind_of,
    operation_id,
    payment_id_of,
)
from tests.support.builders import NOW, PSP

MIGRATIONS = Path(__file__).parents[2] / "infra/postgres/migrations"


def operation(state: OperationState, **other: object) -> Operation:
    fields = {"expires_at": NOW + timedelta(hours=1)} | other
    made = Operation("op-s1", "sale", 1, 1, "1", PSP, Money(1099, "EUR"), "command-1", NOW, **fields)
    made.state = state
    return made


@given(st.uuids(), st.integers(1, 999))
def test_an_operations_id_leads_back_to_its_payment_and_fits_every_psp(payment: UUID, ordinal: int):
    made = operation_id(payment, "sale", ordinal)

    assert payment_id_of(made) == payment
    assert len(made) <= 40
    assert made.replace("-", "").isalnum()


@given(st.uuids(), st.sampled_from(sorted(KINDS)), st.integers(1, 999_999))
def test_an_operations_id_names_its_kind(payment: UUID, kind: Kind, ordinal: int):
    assert kind_of(operation_id(payment, kind, ordinal)) == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s1",
        f"{'0' * 32}-x1",
        f"{'0' * 32}-s",
        f"{'0' * 32}-s1234567",
        f"{'0' * 31}A-s1",
        f"{'0' * 32}-s1\n",
    ],
)
def test_what_is_no_operations_id_names_no_kind(text: str):
    assert kind_of(text) is None


def test_the_database_takes_an_operations_id_as_the_code_does():
    sql = "\n".join(file.read_text() for file in sorted(MIGRATIONS.rglob("*.sql")))
    written = re.findall(r"\[0-9a-f\]\S*\$(?=')", sql)

    assert written
    for pattern in written:
        assert re.sub(r"[()^$]", "", pattern).replace("{{", "{").replace("}}", "}") == OPERATION_ID


def test_every_state_has_its_row_and_an_ended_one_leads_nowhere():
    assert TRANSITIONS.keys() == set(OperationState)
    assert all(not TRANSITIONS[state] for state in ENDED)


def test_an_unanswered_operation_is_asked_after_half_a_minute_and_an_unknown_one_after_5_seconds():
    assert operation(OperationState.STARTED).next_follow_up_at() == NOW + timedelta(seconds=30)
    assert operation(OperationState.UNKNOWN).next_follow_up_at() == NOW + timedelta(seconds=5)


def test_the_questions_become_rarer_and_never_stop():
    waiting = operation(OperationState.UNKNOWN)
    gaps = []
    for queries in range(10):
        waiting.queries = queries
        gaps.append(waiting.next_follow_up_at() - NOW)

    assert gaps[: len(QUERY_AFTER)] == list(QUERY_AFTER)
    assert set(gaps[len(QUERY_AFTER) :]) == {timedelta(days=1)}


@pytest.mark.parametrize(
    ("changed", "frozen", "how"),
    [
        ({}, False, "repeat"),
        ({}, True, "query"),
        ({"expires_at": NOW}, False, "query"),
        ({"repeat_is_useless": True}, False, "query"),
        ({"queried": True}, False, "query"),
        ({"first_try_at": NOW - timedelta(hours=23), "expires_at": NOW + timedelta(days=2)}, False, "query"),
        ({"first_try_at": NOW - timedelta(hours=22), "expires_at": NOW + timedelta(days=2)}, False, "repeat"),
    ],
)
def test_money_moves_again_only_while_the_key_lives_and_the_payment_has_not_expired(changed, frozen, how):
    assert (
        operation(OperationState.UNKNOWN, **changed).choose_follow_up(NOW, frozen=frozen, canceled=False)[0]
        == how
    )


@pytest.mark.parametrize("state", [OperationState.PENDING, OperationState.ACTION_REQUIRED])
def test_a_call_that_was_answered_is_never_made_again(state):
    assert operation(state).choose_follow_up(NOW, frozen=False, canceled=False)[0] == "query"


@pytest.mark.parametrize(
    ("after", "seen", "canceled", "psp_id", "how"),
    [
        (timedelta(0), timedelta(0), False, "pi_1", "query"),
        (timedelta(hours=1), timedelta(hours=1), False, "pi_1", "cancel"),
        (timedelta(hours=1), timedelta(0), False, "pi_1", "query"),
        (timedelta(hours=1), timedelta(hours=1), False, None, "query"),
        (timedelta(0), timedelta(0), True, "pi_1", "cancel"),
    ],
)
def test_a_challenge_is_ended_when_it_was_seen_open_after_its_time_or_nobody_wants_it_any_more(
    after, seen, canceled, psp_id, how
):
    waiting = operation(OperationState.ACTION_REQUIRED, action_until=NOW + timedelta(hours=1), psp_id=psp_id)
    waiting.observed_at = NOW + seen

    assert waiting.choose_follow_up(NOW + after, frozen=False, canceled=canceled)[0] == how


def test_a_challenge_is_looked_at_when_its_time_is_over_however_rarely_it_is_queried():
    waiting = operation(OperationState.ACTION_REQUIRED, action_until=NOW + timedelta(minutes=1))
    waiting.queries = 5

    assert waiting.next_follow_up_at() == NOW + timedelta(minutes=1)


def test_a_challenge_that_ran_out_and_cannot_be_ended_is_queried_by_the_schedule():
    waiting = operation(OperationState.ACTION_REQUIRED, action_until=NOW + timedelta(minutes=1))
    waiting.last_update_at = NOW + timedelta(minutes=1)
    waiting.queries = 1

    assert waiting.next_follow_up_at() == NOW + timedelta(minutes=1, seconds=30)
