"""Times decide no test here: only what was measured, and that it is what the command says."""

import json

import pytest

from infra.cli import main
from infra.tools.bench import routing


def test_the_policy_has_50_rules_of_every_action():
    policy = routing._policy("metrics")

    assert len(policy.rules) == routing.RULES == 50
    assert len(routing.ACCOUNTS) == 5
    assert {next(iter(rule.then.model_fields_set)) for rule in policy.rules} == {
        *("prefer", "never", "split", "strategy", "only")
    }


def test_the_figures_are_of_as_many_decisions_as_were_asked_for(monkeypatch, tmp_path, capsys):
    file = tmp_path / "routing.json"
    monkeypatch.setattr(
        "sys.argv", ["aegispay", "bench", "routing", "--payments", "1000", "--json", str(file)]
    )

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    content = json.loads(file.read_text())
    assert (content["payments"], content["accounts"], content["rules"]) == (1000, 5, 50)
    for times in content["decision_us"].values():
        assert 0 < times["p50"] <= times["p99"]
    assert "without explanation: p50" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_named(monkeypatch, tmp_path, capsys):
    file = tmp_path / "nowhere" / "routing.json"
    monkeypatch.setattr(
        "sys.argv", ["aegispay", "bench", "routing", "--payments", "1000", "--json", str(file)]
    )

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert str(file) in capsys.readouterr().err
