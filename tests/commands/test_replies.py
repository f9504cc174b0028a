from uuid import uuid4

import pytest

from aggregates import merchant_commands, outcomes, status
from aggregates.operation import OperationState
from commands import client, replies
from tests.support.builders import MULTICAPTURE, NOW, ROUTE, authorized, cause, operation_of, report


@pytest.mark.parametrize("final", [False, True])
def test_a_capture_of_a_part_says_what_it_releases_where_the_account_captures_once(final):
    made, command = authorized(), uuid4()
    merchant_commands.capture(made, 500, cause(NOW, command, fingerprint="f"), final=final)

    reply = replies.decision(command, made, None)

    assert (reply.result, reply.code, reply.amounts) == ("accepted", "rest_released", {"released_minor": 599})
    reason = "the capture was final" if final else "sim-eu captures an authorization once"
    assert reply.detail == f"{reason}: the rest of it is released"

    outcomes.take(made, report(operation_of(made), amount_minor=500), ROUTE, cause())
    again = replies.decision(command, made, None)
    assert (again.code, again.detail, again.amounts) == (reply.code, reply.detail, reply.amounts)
    assert made.totals.released == 599


def test_a_capture_of_a_part_says_what_it_released_when_it_has_ended_too():
    made, command, message = authorized(), uuid4(), uuid4()
    merchant_commands.capture(made, 500, cause(NOW, command, fingerprint="f"), final=False)
    before, capture = made.version, operation_of(made)
    outcomes.take(made, report(capture, amount_minor=500), ROUTE, cause(NOW, message))

    (reply,) = replies.operation_update(made, message, capture, before)

    assert (reply.command_id, reply.operation_state) == (command, "APPROVED")
    assert (reply.code, reply.amounts) == ("rest_released", {"released_minor": 599})
    assert reply.detail == "sim-eu captures an authorization once: the rest of it is released"


def test_a_capture_that_failed_is_not_said_to_have_released_anything():
    made, command, message = authorized(), uuid4(), uuid4()
    merchant_commands.capture(made, 500, cause(NOW, command, fingerprint="f"), final=False)
    before, capture = made.version, operation_of(made)
    failed = report(
        capture, OperationState.DECLINED_HARD, amount_minor=None, currency=None, code="expired_card"
    )
    outcomes.take(made, failed, ROUTE, cause(NOW, message))

    (reply,) = replies.operation_update(made, message, capture, before)
    again = replies.decision(command, made, None)

    assert (reply.code, reply.amounts) == ("expired_card", None)
    assert (again.operation_state, again.code, again.amounts) == ("DECLINED_HARD", None, None)


@pytest.mark.parametrize(("route", "amount_minor"), [(MULTICAPTURE, 500), (ROUTE, None)])
def test_a_capture_that_releases_nothing_reports_nothing_of_it(route, amount_minor):
    made, command = authorized(route), uuid4()
    merchant_commands.capture(made, amount_minor, cause(NOW, command, fingerprint="f"), final=False)

    reply = replies.decision(command, made, None)

    assert (reply.code, reply.detail, reply.amounts) == (None, None, None)


def test_a_client_that_waits_goes_on_where_the_rules_call_a_payment_settled():
    assert client.SETTLED == status.SETTLED, "the client imports none of the rules"
