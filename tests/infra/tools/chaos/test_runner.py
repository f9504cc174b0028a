"""A run's verdict: what makes it not clean, and its JSON."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.tools.audit.verify import NO_FAULTS, Verdict
from infra.tools.chaos.faults import Kill
from infra.tools.chaos.plan import ChaosPlan
from infra.tools.chaos.recovery import Recovery
from infra.tools.chaos.runner import Chaos, InjectedFault
from infra.tools.traffic.chaos_orders import RefusedChange
from tests.faults.plans import assert_no_harm
from tests.infra.tools.chaos.runs import clean, in_doubt, sale


def test_a_run_without_a_fault_found_is_clean():
    assert clean().ok
    assert clean().as_json()["ok"] is True


@pytest.mark.parametrize("kind", sorted(set(Verdict().found) - NO_FAULTS))
def test_a_run_with_a_fault_found_is_not_clean(kind):
    run = clean()
    run.verdict.found[kind]["payment"] = ["why"]

    assert not run.ok
    assert run.as_json()["ok"] is False
    assert run.as_json()[kind] == 1


def test_a_run_that_did_not_settle_is_not_clean():
    run = clean()
    run.verdict.settled_s = None

    assert not run.ok


def test_a_run_with_an_order_that_nobody_took_is_not_clean():
    assert not replace(clean(), not_taken=1).ok


def test_a_refusal_that_the_payments_course_does_not_explain_is_not_clean():
    made = sale(ended="CAPTURED", refused=[RefusedChange("refund", "not_refundable")])
    run = replace(clean(), sales=[made])

    assert not run.ok
    assert run.as_json()["refused"] == [
        {"payment_id": str(made.name), "what": "refund", "code": "not_refundable", "explained": False}
    ]


def test_a_refusal_after_a_payment_that_failed_is_explained():
    run = replace(clean(), sales=[sale(ended="FAILED", refused=[RefusedChange("refund", "not_refundable")])])

    assert run.ok
    assert run.as_json()["refused"][0]["explained"]


def test_a_refusal_of_a_payment_in_doubt_is_explained():
    made = sale(ended="CAPTURED", refused=[RefusedChange("refund", "payment_frozen")])
    run = replace(in_doubt("frozen", name=str(made.name)), sales=[made])

    assert run.ok


def test_the_json_has_the_verdicts_fields_and_what_was_done_to_the_stack():
    kill = Kill(fault="kill", process="relay", at_s=1.5)
    injected = [
        InjectedFault(kill, 1.6, 2.0, recovery=Recovery(0.5, 0.7)),
        InjectedFault(kill, 1.6, 2.0, missed="it was away"),
    ]
    run = Chaos(ChaosPlan(seed=77), injected, clean().verdict, {}, [], 0, 1.0)

    content = run.as_json()

    assert set(Verdict().as_json()) <= set(content)
    assert content["seed"] == 77
    assert [one["fault"] for one in content["faults"]] == ["kill", "kill"]
    assert content["faults"][0]["recovery_s"] == {"rate_back_s": 0.5, "nothing_overdue_s": 0.7}
    assert content["faults"][1]["missed"] == "it was away"
    assert content["faults_missed"] == 1
    assert content["recovery_s"]["relay"]["count"] == 1


def test_the_guide_names_every_field_of_the_json():
    run = Chaos(ChaosPlan(seed=77), [], clean().verdict, {}, [], 0, 1.0)
    guide = (Path(__file__).parents[4] / "docs" / "chaos.md").read_text().partition("## The result")[2]

    assert [
        name for name in run.as_json() if name not in Verdict().as_json() and f"`{name}`" not in guide
    ] == []


def test_each_payment_still_in_doubt_is_listed_with_its_reasons():
    run = in_doubt("no answer", "and frozen")

    assert run.ok
    assert run.as_json()["still_in_doubt"] == [{"payment_id": "payment", "reason": "no answer; and frozen"}]


@pytest.mark.parametrize(("why", "conditions"), [("", "storm"), ("no answer", "rough")])
def test_a_payment_that_stays_in_doubt_without_a_reason_or_outside_a_storm_is_harm(why, conditions):
    with pytest.raises(AssertionError):
        assert_no_harm(in_doubt(why, conditions=conditions))
