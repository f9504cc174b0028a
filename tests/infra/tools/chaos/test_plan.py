import json
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import failpoints
from infra.errors import LocalProblem
from infra.tools.chaos import faults
from infra.tools.chaos.plan import ChaosPlan, load, random_plan

_SEEDS = st.integers(0, 2**63)
_COUNTS = st.integers(1, 6000)


@given(_SEEDS, _COUNTS)
@settings(max_examples=50)
def test_the_same_seed_and_count_always_give_the_same_plan(seed, payments):
    assert random_plan(seed, payments) == random_plan(seed, payments)


@given(_SEEDS, _COUNTS)
@settings(max_examples=50)
def test_a_random_plan_is_one_that_a_file_could_hold(seed, payments):
    plan = random_plan(seed, payments)

    assert ChaosPlan.model_validate_json(plan.model_dump_json()) == plan


@given(_SEEDS)
@settings(max_examples=20)
def test_a_long_random_plan_injects_a_fault_every_few_seconds_until_the_last_payment(seed):
    plan = random_plan(seed, 5000)
    times = sorted(fault.at_s for fault in plan.faults)

    assert times[-1] > plan.payments / plan.rate - 20
    assert len(times) > 20


def test_other_seeds_give_other_faults_and_in_time_every_kind():
    kinds = {fault.fault for seed in range(20) for fault in random_plan(seed, 5000).faults}

    assert kinds == {
        "kill",
        "stop",
        "pause",
        "failpoint",
        "cut_commit",
        "clock",
        "simulator",
        "duplicate",
        "reorder",
        "lose",
        "no_connections",
        "locked",
        "disk_full",
    }


def test_a_plan_is_read_from_toml_and_from_json_alike(tmp_path):
    toml, as_json = tmp_path / "plan.toml", tmp_path / "plan.json"
    toml.write_text('payments = 10\n[[faults]]\nfault = "kill"\nprocess = "relay"\nat_s = 1.5\n')
    as_json.write_text(
        json.dumps({"payments": 10, "faults": [{"fault": "kill", "process": "relay", "at_s": 1.5}]})
    )

    assert load(toml) == load(as_json)
    assert load(toml).faults == (faults.Kill(fault="kill", process="relay", at_s=1.5),)


def test_the_second_process_of_a_kind_with_two_words_is_found(tmp_path):
    file = tmp_path / "plan.toml"
    fault = (
        '[[faults]]\nfault = "failpoint"\npoint = "read-models.before_commit"\nprocess = "read-models-2"\n'
    )
    file.write_text(f"{fault}[stack]\nread_model_workers = 2\n")

    (found,) = load(file).faults

    assert faults.kind_of(found.where) == "read-models"
    file.write_text(fault)
    with pytest.raises(LocalProblem, match="the stack has no read-models-2"):
        load(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[faults]]\nfault = "kill"\nprocess = "relais"', "fault 1 (kill), process: "),
        ('[[faults]]\nfault = "explode"', "fault 1: "),
        ('[[faults]]\nfault = "kill"\nprocess = "relay-2"', "the stack has no relay-2; see [stack]"),
        (
            '[[faults]]\nfault = "cut_commit"\nprocess = "health"',
            "fault 1 (cut_commit), process: health has no connection to PostgreSQL",
        ),
        ('[[faults]]\nfault = "failpoint"\npoint = "relay.never"', "no failpoint is called relay.never"),
        (
            '[[faults]]\nfault = "failpoint"\npoint = "relay.after_send"\nprocess = "read-models"',
            "relay.after_send is in a relay process, not in read-models",
        ),
        ('[[faults]]\nfault = "duplicate"\ntopic = "payment.commands"', "did you mean payments.commands"),
        ("payment = 3", "payment: no field is called payment: did you mean payments?"),
        (
            "[stack]\nview_workers = 2",
            "stack.view_workers: no field is called view_workers: did you mean gateway_workers or",
        ),
        ('weather = "rough"', "no field is called weather; known: conditions, expires_s, faults"),
        ('conditions = "stormy"', "no value is called stormy: did you mean storm? Known: calm, rough, storm"),
        (
            '[[faults]]\nfault = "crash_point"',
            "no fault is called crash_point: did you mean failpoint? Known: clock,",
        ),
        (
            '[[faults]]\nfault = "kill"\nprocess = "relay"\nsince_s = 2',
            "fault 1 (kill), since_s: no field is called since_s; known: at_s, down_s, fault, process",
        ),
        (
            '[[faults]]\nfault = "failpoint"\npoint = "command.after_answers"',
            "no failpoint is called command.after_answers: did you mean command.after_save or",
        ),
        (
            '[[faults]]\nfault = "kill"\nprocess = "postgresql"',
            "no process or server is called postgresql: did you mean postgres?",
        ),
        (
            '[[faults]]\nfault = "simulator"\nset = { mishaps = [] }',
            "fault 1 (simulator), set: mishaps: no field is called mishaps",
        ),
        (
            '[[faults]]\nfault = "simulator"\nset = {}\nthen = { faults = [{ on = "create", do = "vanish" }] }',
            "then: faults.0.do: no value is called vanish; known: 429, 500,",
        ),
        ("payments = ", "is no toml"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_at_the_place_of_the_mistake(tmp_path, text, message):
    file = tmp_path / "plan.toml"
    file.write_text(text)

    with pytest.raises(LocalProblem) as problem:
        load(file)

    assert message in str(problem.value)
    assert problem.value.what == f"{file} is no plan" or "is no toml" in problem.value.what
    assert "docs/chaos.md describes every field" in problem.value.remedy or "is no toml" in problem.value.what


def test_a_plan_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LocalProblem, match=r"nowhere\.toml cannot be read"):
        load(tmp_path / "nowhere.toml")


_GUIDE = (Path(__file__).parents[4] / "docs" / "chaos.md").read_text()


def test_the_plan_of_the_guide_is_a_plan(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(_GUIDE.partition("```toml\n")[2].partition("```")[0])

    assert [fault.fault for fault in load(file).faults] == ["failpoint", "kill"]


def test_the_guide_names_every_fault_and_every_crash_point():
    named = {
        name
        for line in _GUIDE.splitlines()
        if line.startswith("| `")
        for name in re.findall("`([a-z_.-]+)`", line.split("|")[1])
    }
    kinds = {str(name) for one in get_args(get_args(faults.Fault)[0]) for name in _names(one)}

    assert kinds | set(failpoints.NAMES) <= named


def _names(kind) -> tuple[str, ...]:
    return get_args(kind.model_fields["fault"].annotation)


def test_the_guide_names_every_process():
    (named,) = re.findall(r"Processes are (.*?);", _GUIDE, re.DOTALL)

    assert tuple(re.findall("`([a-z-]+)`", named)) == faults.PROCESSES


def test_random_plans_kill_stop_and_pause_every_process_in_time():
    hit = {
        (fault.fault, faults.kind_of(fault.process))
        for seed in range(40)
        for fault in random_plan(seed, 5000).faults
        if isinstance(fault, faults.Kill | faults.Stop | faults.Pause)
    }

    assert {(how, name) for how in ("kill", "stop", "pause") for name in faults.PROCESSES} <= hit


def test_the_plan_of_the_figures_hits_everything_that_payments_or_their_readers_wait_for_five_times():
    plan = load(Path(__file__).parents[4] / "docs" / "plans" / "recovery.toml")
    injected = Counter(fault.process for fault in plan.faults)
    waited_for = set(faults.PROCESSES) - {"health", "routing"}

    assert injected == dict.fromkeys((*waited_for, *faults.SERVERS), 5)
    assert plan.faults[-1].at_s < plan.payments / plan.rate
