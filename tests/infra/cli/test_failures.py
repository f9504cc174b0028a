"""Why a command could not do its work: the exit code, the words, and with --json the document."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from infra.cli import failures
from infra.errors import NoStack
from tests.infra.cli.terminal import run

ROOT = Path(__file__).parent.parent.parent.parent
_SCRIPT = Path(sys.executable).parent / "aegispay"

_PAYMENT = "e1b49c14-8d3e-537c-90a9-489eec1ba441"
_NO_STACK = [
    ["list"],
    ["verify"],
    ["logs"],
    ["status"],
    ["show", _PAYMENT],
    ["pay", "create", "1", "EUR"],
    ["pay", "refund", _PAYMENT, "1"],
    ["doubt", "list"],
    ["webhooks", "list"],
    ["webhooks", "retry", "1"],
    ["parked", "list"],
    ["gateways"],
    ["dead-letters", "list"],
    ["dead-letters", "send", "payments.commands/0/0"],
    ["relay", "rebase"],
    ["migrate"],
    ["topics"],
    ["api-key", "shop"],
]


@pytest.mark.parametrize("command", _NO_STACK)
def test_without_a_stack_every_command_says_how_to_start_one(command, tmp_path):
    done = run(*command, AEGISPAY_DATA=str(tmp_path))

    assert done.returncode == 3
    assert "aegispay up" in done.stdout + done.stderr
    assert str(tmp_path) in done.stdout + done.stderr


_KAFKA_FIRST = (["verify"], ["pay", "create", "1", "EUR"], ["topics"], ["dead-letters", "list"])


@pytest.mark.parametrize("command", [one for one in _NO_STACK if one[0] not in {"logs", "status"}])
def test_a_server_that_is_away_is_named_with_its_address_and_its_setting(command, caplog):
    """Nothing listens on port 1."""
    kafka = command in _KAFKA_FIRST or command[0] in {"topics", "dead-letters", "gateways"}
    env = {
        "AEGISPAY_KAFKA": "127.0.0.1:1",
        "AEGISPAY_DATABASE_URL": "postgresql://x:pa55word@127.0.0.1:1/x",
        "AEGISPAY_SIMULATOR_LEDGER": "/nowhere",
    }

    done = run(*command, "--json", **env)

    assert done.returncode == 69
    printed = json.loads(done.stdout)
    assert printed["exit_code"] == 69
    assert "127.0.0.1:1" in printed["what"]
    assert ("Kafka" if kafka else "PostgreSQL") in printed["what"]
    if not (command[0] == "pay" and kafka):
        assert printed["where"] == "127.0.0.1:1"
        assert ("AEGISPAY_KAFKA" if kafka else "AEGISPAY_DATABASE_URL") in printed["remedy"]
    for stray in ("pa55word", "Unclosed", "Traceback", "Unable connect"):
        assert stray not in done.stdout + done.stderr + caplog.text


@pytest.mark.parametrize(
    ("setting", "value", "example"),
    [
        ("AEGISPAY_DATABASE_URL", "zzz", "postgresql://"),
        ("AEGISPAY_DATABASE_URL", "mysql://127.0.0.1/x", "postgresql"),
        ("AEGISPAY_KAFKA", "broker:port", "127.0.0.1:9092"),
    ],
)
def test_a_bad_setting_is_named_with_an_example(setting, value, example):
    done = run("topics" if setting == "AEGISPAY_KAFKA" else "migrate", "--json", **{setting: value})

    assert done.returncode == 78
    printed = json.loads(done.stdout)
    assert (printed["where"], printed["exit_code"]) == (setting, 78)
    assert example in printed["what"]


def test_half_a_configuration_names_what_is_missing():
    done = run("list", AEGISPAY_KAFKA="localhost:1")

    assert done.returncode == 78
    assert "AEGISPAY_DATABASE_URL: it has to be set, e.g. to postgresql://" in done.stderr
    assert "unset AEGISPAY_KAFKA" in done.stderr


def test_an_empty_setting_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("status", AEGISPAY_DATA="", AEGISPAY_KAFKA="", XDG_STATE_HOME=str(tmp_path))

    assert (done.returncode, f"{tmp_path}." in done.stdout) == (3, False)
    assert str(tmp_path / "here") in run("status", "--data", "here").stdout
    assert str(tmp_path / "here") in run("status", AEGISPAY_DATA="here").stdout


@pytest.mark.parametrize(
    "command",
    [["nonsense"], ["show"], ["list", "--limit", "0"], ["show", "nonsense"], ["pay", "create", "ten", "EUR"]],
)
def test_with_json_a_refusal_is_one_document_too(command, tmp_path):
    done = run(*command, "--json", AEGISPAY_DATA=str(tmp_path))

    printed = json.loads(done.stdout)
    assert printed.keys() == {"error", "what", "where", "remedy", "exit_code"}
    assert printed["exit_code"] == done.returncode == 2


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [(None, 2, "cannot be read"), ("a = ", 78, "is no"), ("speed = 1", 78, "no field is called speed")],
)
def test_a_file_that_an_operator_wrote_is_no_fault_of_the_machine(content, code, message, tmp_path):
    file = tmp_path / "plan.toml"
    if content is not None:
        file.write_text(content)

    done = run("chaos", "--plan", str(file))

    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    accounts = run("simulator", "--accounts", str(file))
    assert accounts.returncode == code, accounts.stderr
    assert str(file) in accounts.stderr


@pytest.mark.parametrize("name", ["stripe", "Foo Bar"])
def test_a_new_psps_name_that_cannot_be_is_mistyped(name):
    assert run("gateway", "new", name, "--root", str(ROOT)).returncode == 2


@pytest.mark.parametrize("known", [NoStack("No stack", "aegispay up"), FileNotFoundError(2, "gone", "/x")])
def test_of_errors_that_came_together_one_that_is_known_is_reported(known, capsys):
    together = ExceptionGroup("tasks", [KeyError("ours"), ExceptionGroup("more", [known, known])])

    code = failures.report(together, as_json=True)

    printed = json.loads(capsys.readouterr().out)
    assert (code, printed["exit_code"]) == (failures.report(known, as_json=False),) * 2
    assert failures.report(ExceptionGroup("tasks", [KeyError("ours")]), as_json=True) is None


def test_logs_of_the_libraries_go_to_standard_error(capsys):
    """`status` has begun and ended: what is logged after that goes where a command's logs go."""
    run("status")

    structlog.get_logger().warning("unreadable")

    output = capsys.readouterr()
    assert (output.out, "unreadable" in output.err) == ("", True)


def test_with_json_an_interruption_is_one_document_too(tmp_path):
    """It is interrupted while it reads a file that nobody has written yet."""
    passwords = tmp_path / "passwords"
    os.mkfifo(passwords)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEGISPAY_")}
    migrating = subprocess.Popen(
        [_SCRIPT, "migrate", "--json"],
        env=clean
        | {"AEGISPAY_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
        | {"AEGISPAY_ROLE_PASSWORDS_FILE": str(passwords)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with passwords.open("w"):  # which waits for the reader
        migrating.send_signal(signal.SIGINT)
        output, _ = migrating.communicate(timeout=30)

    assert (migrating.returncode, json.loads(output)["exit_code"]) == (130, 130)
