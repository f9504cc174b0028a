"""A record of a decision is enough to make it again."""

import re
from hashlib import blake2b
from math import inf
from pathlib import Path

import orjson
from hypothesis import HealthCheck, assume, given, settings

from aggregates.routing.choice import FOR_NOW, choose
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


def _documented() -> set[str]:
    page = (Path(__file__).parents[3] / "docs" / "routing.md").read_text()
    section = page.partition("## The record of a decision")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


@settings(max_examples=100)
@given(situations())
def test_each_field_and_code_of_a_record_is_in_the_documentation(made):
    record = choose(made).record()

    entries = record["accounts"]
    codes = {one["excluded"][0] for one in entries if "excluded" in one}
    assert {*record, *codes, *FOR_NOW}.union(*entries) <= _documented()


# Most strategies draw otherwise, or not at all: by chance a run begins with nothing else.
@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
@given(situations())
def test_a_reader_of_a_record_draws_the_account_as_the_documentation_says(made):
    record = choose(made).record()
    id_, attempt = made.facts.payment_id, made.facts.attempt
    digest = blake2b(id_.bytes + attempt.to_bytes(2, "big"), digest_size=16).digest()
    assert record["draw"] == (int.from_bytes(digest[:8], "big") >> 11) / 2**53

    # What an arm does, and whether a commitment raised a share, stands in the policy and not in the record.
    assume(record["strategy"] not in {"none", "in_turn", "probe", "experiment"} and "shares" not in record)
    order = [one for one in record["accounts"] if one.get("propensity")]
    if record["strategy"] not in {"weighted", "round_robin", "split"}:
        order.sort(key=lambda one: -one.get("score", -inf))
    passed = 0.0
    for one in order:
        passed += one["propensity"]
        if record["draw"] < passed:
            break
    assert record["account"] == one["account"]
