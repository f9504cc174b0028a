"""A record of a decision is enough to make it again."""

import orjson
from hypothesis import given

from aggregates.routing.choice import choose
from aggregates.routing.explain import recompute
from tests.aggregates.routing.situations import health, policy, situation, situations
from tests.aggregates.routing.test_choice import GOOD, POOR


def again(record, made):
    stored = orjson.loads(orjson.dumps(record))
    return recompute(stored, made.facts, made.policy, made.now).record()


@given(situations())
def test_a_decision_that_is_made_again_from_its_record_is_the_same(made):
    record = choose(made).record()

    assert again(record, made) == record


def test_a_record_that_was_changed_is_found_out():
    made = situation("ab", health=health(a=POOR, b=GOOD), policy=policy(strategy={"kind": "success"}))
    record = choose(made).record()

    for account, outcomes in (("a", [100, 0, 0, 0]), ("b", [0, 100, 0, 0])):
        changed = orjson.loads(orjson.dumps(record))
        next(one for one in changed["accounts"] if one["account"] == account)["outcomes"] = outcomes
        assert again(changed, made) != changed
    assert again({**record, "account": "a"}, made) != {**record, "account": "a"}
