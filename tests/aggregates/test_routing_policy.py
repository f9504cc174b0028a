from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.decision import Refused
from aggregates.policy_events import POLICY_EVENTS
from aggregates.routing.policy import Policy
from aggregates.routing_policy import By, HasErrors, RoutingPolicy, Version, policy_id, read

_NOW = datetime(2026, 11, 30, 18, tzinfo=UTC)
_KIM = By("Kim", "the new contract", _NOW)
_ACCOUNTS = {"a": frozenset({"EUR"}), "b": frozenset({"EUR"})}
_TEST = {
    "kind": "experiment",
    "id": "b-or-not",
    "control": "before",
    "arms": {"before": {"share": 0.5, "account": "a"}, "after": {"share": 0.5, "account": "b"}},
}


def _policy(**content: Any) -> Policy:
    return Policy.model_validate(content)


def _opened(*documents: Policy) -> RoutingPolicy:
    made = RoutingPolicy.open("shop", _KIM)
    for document in documents:
        made.put_draft(document, _KIM)
    return made


def _topics(policy: RoutingPolicy) -> list[str]:
    return [type(event).TOPIC for event in policy.collect_events()]  # type: ignore[attr-defined]


def test_a_draft_is_a_version_that_routes_nothing_until_it_is_activated():
    policy = _opened(_policy(accounts=["b", "a"]))

    assert policy.active is None
    assert policy.draft is policy.versions[1]

    policy.activate(1, _ACCOUNTS, By("Lou", "reviewed", _NOW + timedelta(hours=1)))

    assert policy.active == Version(
        1,
        {"accounts": ["b", "a"]},
        "Kim",
        "the new contract",
        _NOW,
        _NOW + timedelta(hours=1),
        "Lou",
        "reviewed",
    )
    assert policy.active.drafted_at == _NOW
    assert policy.draft is None
    assert _topics(policy) == [
        "routing_policy.opened.v1",
        "routing_policy.drafted.v1",
        "routing_policy.activated.v1",
    ]


def test_a_draft_that_says_what_the_newest_version_says_is_no_new_version():
    policy = _opened(_policy(accounts=["a"]))

    assert policy.put_draft(_policy(accounts=["a"]), _KIM) == 1
    assert policy.put_draft(_policy(accounts=["b"]), _KIM) == 2
    assert policy.put_draft(_policy(accounts=["a"]), _KIM) == 3
    assert [policy.state_of(one) for one in policy.versions.values()] == ["superseded", "superseded", "draft"]


def test_a_policy_full_of_versions_takes_no_more_and_its_versions_can_still_be_returned_to():
    policy = _opened(_policy(accounts=["a"]))
    policy.activate(1, _ACCOUNTS, _KIM)
    drafts = [_policy(accounts=["b"]), _policy(accounts=["a"])]
    for number in range(2, 10_001):
        assert policy.put_draft(drafts[number % 2], _KIM) == number
    policy.activate(10_000, _ACCOUNTS, _KIM)

    with pytest.raises(Refused, match="at most 10000 versions") as refused:
        policy.put_draft(_policy(accounts=["a"]), _KIM)

    assert refused.value.code == "policy_versions_max"
    assert policy.put_draft(_policy(accounts=["b"]), _KIM) == 10_000
    policy.roll_back(1, _ACCOUNTS, _KIM)
    assert policy.active is policy.versions[1]


def test_activating_the_active_version_again_changes_nothing():
    policy = _opened(_policy(accounts=["a"]))
    policy.activate(1, _ACCOUNTS, _KIM)
    policy.collect_events()

    policy.activate(1, _ACCOUNTS, _KIM)
    policy.roll_back(1, _ACCOUNTS, _KIM)

    assert _topics(policy) == []


def test_a_version_with_errors_is_not_activated_and_stays_a_draft():
    policy = _opened(_policy(accounts=["c"]))

    with pytest.raises(HasErrors, match="the merchant has no account c") as refused:
        policy.activate(1, _ACCOUNTS, _KIM)

    assert [finding.where for finding in refused.value.findings] == ["accounts.0"]
    assert policy.active is None
    # Where the accounts are not known nothing is said about them.
    policy.activate(1, None, _KIM)


def test_warnings_do_not_keep_a_version_from_being_active():
    policy = _opened(_policy(strategy={"kind": "metrics", "success": 0.7}))

    policy.activate(1, _ACCOUNTS, _KIM)

    assert policy.active is not None


def test_only_the_newest_version_is_activated():
    policy = _opened(_policy(accounts=["a"]), _policy(accounts=["b"]))

    with pytest.raises(
        Refused, match=r"version 2 was drafted after version 1: draft its document"
    ) as refused:
        policy.activate(1, _ACCOUNTS, _KIM)

    assert refused.value.code == "policy_not_newest"


def test_a_version_that_was_active_is_returned_to_and_the_later_one_as_well():
    policy = _opened(_policy(accounts=["a"]))
    policy.activate(1, _ACCOUNTS, _KIM)
    policy.put_draft(_policy(accounts=["b"]), _KIM)
    policy.activate(2, _ACCOUNTS, _KIM)

    policy.roll_back(1, _ACCOUNTS, By("Lou", "declines rose", _NOW))

    assert policy.active is not None
    assert (policy.active.activated_by, policy.active.activation_reason) == ("Lou", "declines rose")
    assert policy.active.number == 1
    assert policy.state_of(policy.versions[2]) == "former"
    policy.roll_back(2, _ACCOUNTS, _KIM)
    assert policy.active.number == 2


def test_a_version_that_never_was_active_is_not_rolled_back_to():
    policy = _opened(_policy(accounts=["a"]), _policy(accounts=["b"]))
    policy.activate(2, _ACCOUNTS, _KIM)

    for refuses in (policy.roll_back, policy.activate):
        # Neither names the other, which would refuse it too.
        with pytest.raises(Refused, match="draft its document once more") as refused:
            refuses(1, _ACCOUNTS, _KIM)
        assert not any(way in refused.value.detail for way in ("roll back", ": activate it"))


def test_the_newest_version_that_was_never_active_is_to_be_activated():
    policy = _opened(_policy(accounts=["a"]))

    with pytest.raises(Refused, match="version 1 was never active: activate it"):
        policy.roll_back(1, _ACCOUNTS, _KIM)


def test_a_version_whose_account_is_gone_is_not_rolled_back_to():
    policy = _opened(_policy(accounts=["a"]))
    policy.activate(1, _ACCOUNTS, _KIM)
    policy.put_draft(_policy(accounts=["b"]), _KIM)
    policy.activate(2, _ACCOUNTS, _KIM)

    with pytest.raises(HasErrors):
        policy.roll_back(1, {"b": frozenset({"EUR"})}, _KIM)


@pytest.mark.parametrize("act", [RoutingPolicy.activate, RoutingPolicy.roll_back])
def test_a_version_that_does_not_exist_is_refused(act):
    with pytest.raises(Refused, match="there is no version 7"):
        act(_opened(_policy(accounts=["a"])), 7, _ACCOUNTS, _KIM)


def test_an_arm_is_stopped_once_and_stays_stopped_in_the_next_version():
    policy = _opened(_policy(strategy=_TEST))
    policy.activate(1, _ACCOUNTS, _KIM)
    policy.collect_events()

    policy.stop_arm("b-or-not", "after", By("guardrail", "3 points below the control", _NOW))
    policy.stop_arm("b-or-not", "after", _KIM)

    assert _topics(policy) == ["routing_policy.arm_stopped.v1"]
    policy.put_draft(_policy(strategy=_TEST, accounts=["a"]), _KIM)
    policy.activate(2, _ACCOUNTS, _KIM)
    assert policy.stopped == {"b-or-not": ["after"]}


def test_the_control_and_what_is_no_arm_of_the_active_policy_are_not_stopped():
    policy = _opened(_policy(strategy=_TEST))
    with pytest.raises(Refused, match="no experiment b-or-not"):
        policy.stop_arm("b-or-not", "after", _KIM)
    policy.activate(1, _ACCOUNTS, _KIM)

    for experiment, arm, code in (
        ("b-or-not", "before", "arm_is_control"),
        ("b-or-not", "other", "experiment_unknown"),
        ("other", "after", "experiment_unknown"),
    ):
        with pytest.raises(Refused) as refused:
            policy.stop_arm(experiment, arm, _KIM)
        assert refused.value.code == code


def test_a_document_that_this_release_does_not_take_is_refused_in_words():
    with pytest.raises(Refused, match="does not take the document of version 4"):
        read(Version(4, {"moods": ["good"]}, "Kim", "x", _NOW))


def test_each_event_has_a_topic_of_its_own_and_each_merchant_a_stream():
    assert len(POLICY_EVENTS) == 5
    assert all(topic.startswith("routing_policy.") and topic.endswith(".v1") for topic in POLICY_EVENTS)
    assert policy_id("shop") != policy_id("other")
    assert str(policy_id("shop")) == "66cbeb51-8dc9-543b-b4b3-f77d0727d454"


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("draft"), st.sampled_from(["a", "b", "unknown"])),
        st.tuples(st.sampled_from(["activate", "roll_back"]), st.integers(1, 4)),
    ),
    max_size=15,
)


@given(_STEPS)
def test_whatever_is_done_no_version_changes_and_what_is_active_has_no_error(steps):
    policy, seen = RoutingPolicy.open("shop", _KIM), {}
    for what, value in steps:
        try:
            if what == "draft":
                policy.put_draft(_policy(accounts=[value]), _KIM)
            else:
                getattr(policy, what)(value, _ACCOUNTS, _KIM)
        except Refused:
            assert not any(event.originator_version > policy.version for event in policy.pending_events)
        for number, version in policy.versions.items():
            assert seen.setdefault(number, version.document) == version.document
        assert policy.active is None or policy.active.document["accounts"] != ["unknown"]
    assert list(policy.versions) == list(range(1, len(policy.versions) + 1))
