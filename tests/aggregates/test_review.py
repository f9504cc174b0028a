"""A person's decision on a held payment."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import review
from aggregates.decision import Refused
from aggregates.routing.route import Route
from aggregates.status import Status
from tests.support.builders import NOW, ROUTE, captured, cause, held, payment, report
from tests.support.payment_stories import replayed


def decide(made, decision, *, route: Route = ROUTE, now=NOW) -> None:
    by = cause(now, uuid4(), fingerprint="r")
    review.decide(made, decision, route, by, evidence="the customer called, ticket 812", who="ada")


def test_allowing_starts_the_first_attempt_and_records_who_and_why():
    made = held()

    decide(made, "allow")

    assert (made.status, made.held, made.reason) == (Status.PROCESSING, False, None)
    assert len(made.operations) == 1
    reviewed = next(one for one in made.pending_events if one.TOPIC == "payment.reviewed.v1")
    assert (reviewed.who, reviewed.evidence) == ("ada", "the customer called, ticket 812")
    assert replayed(made).status is Status.PROCESSING


def test_denying_rejects_the_payment_and_starts_nothing():
    made = held()

    decide(made, "deny")

    assert (made.status, made.rejected, made.operations) == (Status.REJECTED, "denied_by_review", {})


def test_allowing_what_no_account_takes_any_more_rejects_it_with_that_reason():
    made = held()

    decide(made, "allow", route=Route((), none_because="the account was closed"))

    assert (made.rejected, made.detail) == ("no_psp_account", "the account was closed")


@pytest.mark.parametrize("make", [payment, captured])
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_payment_that_is_not_held_is_refused_and_unchanged(make, decision):
    made = make()
    version = made.version

    with pytest.raises(Refused, match=r"^not_held: "):
        decide(made, decision)

    assert made.version == version


def test_a_second_decision_is_refused():
    made = held()
    decide(made, "deny")

    with pytest.raises(Refused, match=r"^not_held: "):
        decide(made, "allow")


def test_after_its_time_it_can_be_denied_and_no_longer_allowed():
    made = held()
    late = made.expires_at

    with pytest.raises(Refused, match=r"^review_too_late: "):
        decide(made, "allow", now=late)
    decide(made, "deny", now=late + timedelta(seconds=1))

    assert made.status is Status.REJECTED


def test_a_frozen_payment_starts_nothing():
    made = held()
    made.contradict(report("nothing-s9"), "the PSP reports a charge of it", cause(NOW, uuid4()))

    with pytest.raises(Refused, match=r"^payment_frozen: "):
        decide(made, "allow")
