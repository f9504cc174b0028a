"""The command `aegispay` as a script runs it: exit codes, JSON, and its messages when there is nothing to
act on."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.infra.cli.terminal import Done, run
from tests.support import simulator
from tests.support.environment import Environment
from tests.support.processes import Running, shared
from tests.support.until import until

ROOT = Path(__file__).parent.parent.parent.parent
_SCRIPT = Path(sys.executable).parent / "aegispay"


@pytest.mark.parametrize("command", ["up", "demo", "status", "doctor", "down", "logs"])
def test_a_port_that_is_no_number_is_one_sentence(command, tmp_path):
    done = run(command, AEGISPAY_DATA=str(tmp_path), AEGISPAY_API_PORT="http")

    assert done.returncode == 78
    assert done.stderr == "aegispay: AEGISPAY_API_PORT: must be a whole number: digits only\n"


def test_the_version_is_that_of_the_package():
    done = subprocess.run([_SCRIPT, "--version"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, f"aegispay {version('aegispay')}\n")


def test_a_shell_completes_commands():
    """As the script that `--install-completion` writes for bash asks for it."""
    completion = {"_AEGISPAY_COMPLETE": "complete_bash", "COMP_WORDS": "aegispay do", "COMP_CWORD": "1"}

    done = subprocess.run([_SCRIPT], env=os.environ | completion, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["down", "doctor", "doubt"]


def test_a_shell_completes_the_processes_that_have_logs(tmp_path):
    (tmp_path / "logs").mkdir()
    for name in ("api", "relay", "command"):
        (tmp_path / "logs" / f"{name}.log").touch()
    completion = {"_AEGISPAY_COMPLETE": "complete_bash", "COMP_WORDS": "aegispay logs re", "COMP_CWORD": "2"}

    env = os.environ | completion | {"AEGISPAY_DATA": str(tmp_path)}
    done = subprocess.run([_SCRIPT], env=env, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["relay"]


def test_what_is_down_needs_no_stop_and_has_no_logs(tmp_path):
    stopped = run("down", "--json", AEGISPAY_DATA=str(tmp_path))
    assert stopped.returncode == 0
    assert json.loads(stopped.stdout) == {"up": False, "stopped": None, "data": str(tmp_path)}

    assert run("logs", AEGISPAY_DATA=str(tmp_path)).returncode == 3


def test_logs_of_a_stack_that_has_ended_are_shown_by_name_and_by_their_ends(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "relay.log").write_text("one\ntwo\nthree\n")
    (tmp_path / "logs" / "command.log").write_text("four\n")

    all_of_them = run("logs", "-n", "2", AEGISPAY_DATA=str(tmp_path))
    assert all_of_them.stdout == "command  four\nrelay    two\nrelay    three\n"
    named = run("logs", "relay", "-n", "1", "--json", AEGISPAY_DATA=str(tmp_path))
    assert json.loads(named.stdout) == {"relay": ["three"]}
    unknown = run("logs", "rely", AEGISPAY_DATA=str(tmp_path))
    assert (unknown.returncode, "mean relay? There are logs of command, relay" in unknown.stderr) == (2, True)


def test_logs_are_followed_over_a_file_that_is_put_aside(tmp_path):
    log = tmp_path / "logs" / "relay.log"
    log.parent.mkdir()
    log.write_text("one\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEGISPAY_")}
    following = subprocess.Popen(
        [sys.executable, "-c", "from infra.cli import main; main()", "logs", "--follow"],
        cwd=ROOT,
        env=clean | {"AEGISPAY_DATA": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "relay  one\n"
    with log.open("a") as more:
        more.write("a longer line\n")
    assert following.stdout.readline() == "relay  a longer line\n"
    log.replace(log.with_suffix(".log.1"))
    log.write_text("anew\n")
    assert following.stdout.readline() == "relay  anew\n"

    following.send_signal(signal.SIGINT)
    following.communicate(timeout=30)
    assert following.returncode == 130


@pytest.fixture(scope="module")
def stack(shared_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shared(shared_environment, tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.mark.stack
async def test_pay_show_verify_and_the_lists_speak_json(stack):
    env = stack.environment.env("audit", simulator_ledger=stack.ledger)
    paid = run("pay", "create", "10.99", "eur", "--json", **env)
    assert paid.returncode == 0, paid.stderr
    payment = json.loads(paid.stdout)["payment_id"]

    declined = run("pay", "create", "5", "JPY", "--method", "pm_card_visa_chargeDeclined", **env)
    assert declined.returncode == 1
    assert " FAILED 5 JPY" in declined.stdout
    assert "reason: generic_decline: card_declined, Your card was declined" in declined.stdout
    key = re.search(r"key: (cli-\S+)", declined.stdout)
    assert key is not None
    again = ("pay", "create", "5", "JPY", "--method", "pm_card_visa_chargeDeclined", "--key", key[1])
    assert "reason: generic_decline: card_declined, Your card was declined" in run(*again, **env).stdout
    failed = declined.stdout.partition(":")[0]
    assert "generic_decline: card_declined, Your card was declined" in run("show", failed, **env).stdout
    assert (
        "generic_decline: card_declined, Your card was declined" in run("pay", "status", failed, **env).stdout
    )
    listed = run("list", **env).stdout.splitlines()
    assert [line.split()[:1] + line.split()[2:5] for line in listed[:2]] == [
        [failed, "FAILED", "5", "JPY"],
        [payment, "CAPTURED", "10.99", "EUR"],
    ]
    assert [one["payment_id"] for one in json.loads(run("list", "--json", **env).stdout)][:2] == [
        failed,
        payment,
    ]

    shown = json.loads(run("show", payment, "--json", **env).stdout)
    assert (shown["status"], shown["amount"]) == ("CAPTURED", "10.99 EUR")
    assert "operation.approved.v1" in run("show", payment, **env).stdout

    verdict = run("verify", "--json", **env)
    assert verdict.returncode == 0
    assert json.loads(verdict.stdout)["by_status"].keys() >= {"CAPTURED", "FAILED"}

    await _captured_more(stack, payment, 1)
    wrong = run("verify", "--settle", "0", **env)
    await _captured_more(stack, payment, -1)
    assert wrong.returncode == 1
    assert f"read_model_mismatches: {payment}" in wrong.stdout

    assert json.loads(run("parked", "list", "--json", **env).stdout) == []
    assert json.loads(run("dead-letters", "list", "--json", **env).stdout) == []
    assert run("dead-letters", "send", "payments.commands/0/0", **env).returncode == 1


async def _captured_more(stack: Running, payment: str, minor: int) -> None:
    """In the read model alone."""
    change = "UPDATE payments SET captured_minor = captured_minor + %s WHERE payment_id = %s RETURNING 1"
    assert await stack.rows(change, minor, payment)


def _pay(stack: Running, *arguments: str) -> tuple[int, Any]:
    done = run("pay", *arguments, "--json", **stack.environment.env("audit", simulator_ledger=stack.ledger))
    return done.returncode, json.loads(done.stdout or done.stderr)


@pytest.mark.stack
def test_a_payment_is_led_through_its_life_at_the_terminal(stack):
    code, made = _pay(stack, "create", "20", "EUR", "--manual")
    assert (code, made["status"]) == (0, "AUTHORIZED")
    payment = made["payment_id"]

    code, refused = _pay(stack, "capture", payment, "20.01")
    assert (code, refused["code"]) == (1, "capture_exceeds_authorization")
    assert refused["amounts"]["capturable_minor"] == 2000
    code, captured = _pay(stack, "capture", payment, "15", "--key", "c-1")
    assert (code, captured["operation_state"]) == (0, "APPROVED")
    assert (
        _pay(stack, "capture", payment, "15", "--key", "c-1")[1]["operation_id"] == captured["operation_id"]
    )
    assert _pay(stack, "capture", payment, "14", "--key", "c-1")[1]["code"] == "idempotency_mismatch"
    assert _pay(stack, "refund", payment, "5.00", "--reason", "a shoe")[0] == 0
    assert _pay(stack, "void", payment)[1]["code"] == "nothing_to_void"

    code, now = _pay(stack, "status", payment)
    assert (code, now["status"], now["captured_minor"], now["refunded_minor"]) == (
        0,
        "PARTIALLY_REFUNDED",
        1500,
        500,
    )

    other = _pay(stack, "create", "20", "EUR", "--manual")[1]["payment_id"]
    assert _pay(stack, "void", other)[1]["status"] == "VOIDED"
    third = _pay(stack, "create", "20", "EUR", "--manual")[1]["payment_id"]
    assert _pay(stack, "cancel", third)[1]["status"] == "VOIDED"
    assert _pay(stack, "complete", third)[1]["code"] == "no_action_required"

    output = run("pay", "refund", payment, "99", **stack.environment.env("audit"))
    assert output.returncode == 1
    assert "refundable 1000" in output.stderr


@pytest.mark.stack
async def test_a_customers_challenge_is_shown_with_where_to_go(stack):
    made = run(
        "pay",
        "create",
        "20",
        "EUR",
        "--method",
        "pm_card_threeDSecure2Required",
        "--json",
        **stack.environment.env("audit"),
    )
    assert made.returncode == 1
    printed = json.loads(made.stdout)
    payment = printed["payment_id"]
    assert printed["action_url"].startswith("http://127.0.0.1:")

    env = stack.environment.env("audit")
    url = ""

    def shown() -> bool:
        nonlocal url
        url = json.loads(run("pay", "status", payment, "--json", **env).stdout)["action_url"]
        return url is not None

    await until(shown, "the read model has it")
    assert url.startswith("http://127.0.0.1:")
    assert url == printed["action_url"]
    assert f"has to go to {url}" in run("pay", "status", payment, **env).stdout
    repeated = ("pay", "create", "20", "EUR", "--method", "pm_card_threeDSecure2Required")
    assert f"has to go to {url}" in run(*repeated, "--key", printed["idempotency_key"], **env).stdout

    early = run("pay", "complete", payment, "--wait", "1", **env)
    assert (early.returncode, "waits for the customer to act at" in early.stderr) == (1, True)
    assert "by itself" not in early.stderr

    # The verdict at the end waits for what is open.
    assert run("pay", "cancel", payment, **env).returncode == 0
    await stack.has_status(payment, "VOIDED")


@pytest.mark.stack
async def test_an_operator_lists_asks_about_and_decides_a_payment_in_doubt(stack):
    env = stack.environment.env("audit")

    async def doubt(*arguments: str, typed: str = "") -> Done:
        # In a thread: the client beside it has to go on talking to Kafka.
        return await asyncio.to_thread(run, "doubt", *arguments, typed=typed, **env)

    async with simulator.failing(stack), stack.client() as client:
        paid = await client.create_payment(
            idempotency_key="order-doubt", amount_minor=1234, currency="EUR", payment_method="pm_card_visa"
        )
        payment = str(paid.payment_id)

        async def listed() -> bool:
            return payment in [
                one["payment_id"] for one in json.loads((await doubt("list", "--json")).stdout)["in_doubt"]
            ]

        await until(listed, "it stands in the list")
        words = (await doubt("list")).stdout
        assert "stripe/sim-eu: 12.34 EUR in 1 payment for less than 5 min" in words
        assert f"{paid.payment_id.hex}-s1 sale  12.34 EUR" in words
        manual = (await doubt("list", "--manual")).stdout
        assert "Nothing in doubt needs an operator." in manual
        assert "12.34 EUR" not in manual

        decision = ("resolve", payment, "--not-charged", "--evidence", "no charge at theirs", "--who", "Kim")

        async def queried() -> bool:
            """Not within 5 s of the question before."""
            done = await doubt("query", payment, "--wait", "1")
            assert done.returncode == 1
            assert "same key" not in done.stderr
            return "after 1 s" in done.stderr and "; the PSP" in done.stderr

        await until(queried, "the PSP was queried")
        story = (await doubt("show", payment)).stdout
        assert f"{paid.payment_id.hex}-s1: sale of 12.34 EUR" in story
        assert "sent to stripe/sim-eu: first attempt" in story
        assert "requested again (query" in story
        assert f"aegispay doubt resolve {payment} --operation {paid.payment_id.hex}-s1" in story

        unsure = await doubt(*decision, typed="n\n")
        assert unsure.returncode == 1
        for shown in ("not_charged: not executed", "no charge at theirs", "Kim", "sale of 12.34 EUR"):
            assert shown in unsure.stdout
        assert (await doubt(*decision, "--json")).returncode == 2  # nobody could have confirmed it
        assert json.loads((await doubt("show", payment, "--json")).stdout)["status"] == "IN_DOUBT"

        decided = await doubt(*decision, typed="y\n")
        assert decided.returncode == 0, decided.stderr
        assert f"{payment}: FAILED" in decided.stdout
        again = await doubt(*decision, "--yes")
        assert (again.returncode, "Nothing of it is in doubt" in again.stderr) == (1, True)
        story = (await doubt("show", payment)).stdout
        assert "decision not_charged, who Kim (aegispay doubt resolve), evidence no charge at theirs" in story


@pytest.mark.stack
def test_an_api_key_may_do_what_was_requested_for_it(environment):
    env = environment.env("admin")

    def scopes(*arguments: str) -> list[str]:
        made: list[str] = json.loads(run("api-key", "shop", *arguments, "--json", **env).stdout)["scopes"]
        return made

    assert scopes() == ["payments:read", "payments:write", "refunds:write", "routing:read"]
    assert scopes("--read-only") == ["payments:read"]
    assert scopes("--scope", "doubt:resolve", "--scope", "payments:read") == [
        "payments:read",
        "doubt:resolve",
    ]


@pytest.mark.stack
async def test_an_operator_lists_and_ends_a_dispute_that_the_psp_leaves_unclear(stack):
    env = stack.environment.env("audit")

    async def doubt(*arguments: str, typed: str = "") -> Done:
        return await asyncio.to_thread(run, "doubt", *arguments, typed=typed, **env)

    async with stack.client() as client:
        paid = await client.pay(
            idempotency_key="order-disputed", amount_minor=1234, currency="EUR", payment_method="pm_card_visa"
        )
        payment = str(paid.payment_id)
        dispute = {"dispute_id": "PP-D-1", "state": "unclear", "amount_minor": 1234, "currency": "EUR"}
        await simulator.disputes(stack, paid.payment_id, **dispute)

        async def listed() -> bool:
            return "PP-D-1" in (await doubt("list", "--manual")).stdout

        await until(listed, "the dispute stands in the list")
        line = next(line for line in (await doubt("list")).stdout.splitlines() if "PP-D-1" in line)
        assert line == f"dispute PP-D-1 of {payment}, stripe/sim-eu: unclear, 12.34 EUR  MANUAL"
        assert f"aegispay doubt dispute {payment} PP-D-1 --is" in (await doubt("show", payment)).stdout

        word = ("dispute", payment, "PP-D-1", "--is", "won", "--evidence", "case 7, closed", "--who", "Kim")
        assert (await doubt(*word, typed="n\n")).returncode == 1
        refused = await doubt(*word[:2], "PP-D-2", *word[3:], "--yes")
        assert (refused.returncode, "PP-D-1" in refused.stderr) == (1, True)
        decided = await doubt(*word, typed="y\n")
        assert decided.returncode == 0, decided.stderr
        assert f"{payment}: CAPTURED" in decided.stdout

        async def gone() -> bool:
            return "PP-D-1" not in (await doubt("list")).stdout

        await until(gone, "the dispute is over")
