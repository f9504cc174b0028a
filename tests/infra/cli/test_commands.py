"""The command `aegispay` as a script runs it: exit codes, JSON, and what it says when there is nothing to act on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.running import running

ROOT = Path(__file__).parent.parent.parent.parent


def _run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Without what the shell of the test run sets."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEGISPAY_")}
    return subprocess.run(
        [sys.executable, "-c", "from infra.cli import main; main()", *arguments],
        cwd=ROOT,
        env=clean | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "command",
    [
        ["verify"],
        ["show", "e1b49c14-8d3e-537c-90a9-489eec1ba441"],
        ["parked", "list"],
        ["pay", "create", "1", "EUR"],
    ],
)
def test_without_a_stack_every_command_says_how_to_start_one(command, tmp_path):
    done = _run(*command, AEGISPAY_DATA=str(tmp_path))

    assert done.returncode == 69
    assert "aegispay up" in done.stderr
    assert "Traceback" not in done.stderr


def test_half_a_configuration_names_what_is_missing():
    done = _run("verify", AEGISPAY_KAFKA="localhost:1")

    assert done.returncode == 69
    assert "AEGISPAY_DATABASE_URL" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["pay", "create", "10.999", "EUR"], "EUR has 2 decimals"),
        (["pay", "create", "ten", "EUR"], "no amount"),
        (["pay", "create", "1", "XXX"], "does not take XXX"),
        (["show", "nonsense"], "no payment's id"),
        (["parked", "retry"], "--all"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write_instead(arguments, why, tmp_path):
    done = _run(*arguments, AEGISPAY_DATA=str(tmp_path))

    assert done.returncode == 69
    assert why in done.stderr


@pytest.mark.stack
async def test_pay_show_verify_and_the_lists_speak_json(place, tmp_path):
    async with running(place, tmp_path) as stack:
        env = place.env("audit", simulator_ledger=stack.ledger)
        paid = _run("pay", "create", "10.99", "eur", "--json", **env)
        assert paid.returncode == 0, paid.stderr
        payment = json.loads(paid.stdout)["payment_id"]

        declined = _run("pay", "create", "5", "JPY", "--method", "pm_card_visa_chargeDeclinedLostCard", **env)
        assert (declined.returncode, declined.stdout.split()[1:]) == (1, ["FAILED"])

        shown = json.loads(_run("show", payment, "--json", **env).stdout)
        assert (shown["status"], shown["amount"]) == ("CAPTURED", "10.99 EUR")
        assert "operation.approved.v1" in _run("show", payment, **env).stdout

        verdict = _run("verify", "--json", "-", **env)
        assert verdict.returncode == 0
        assert json.loads(verdict.stdout)["by_status"] == {"CAPTURED": 1, "FAILED": 1}

        await stack.rows("DELETE FROM payments WHERE payment_id = %s RETURNING 1", payment)
        wrong = _run("verify", "--settle", "0", **env)
        assert wrong.returncode == 1
        assert f"read_model_mismatches: {payment}" in wrong.stdout

        assert json.loads(_run("parked", "list", "--json", **env).stdout) == []
        assert json.loads(_run("dead-letters", "list", "--json", **env).stdout) == []
        assert _run("dead-letters", "send", "payments.commands/0/0", **env).returncode == 69
