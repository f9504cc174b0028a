"""The command `aegispay` as a script runs it: exit codes, JSON, and what it says when there is nothing to act on."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.place import Place
from tests.system import psp
from tests.system.running import Running, running, shared
from tests.until import until

ROOT = Path(__file__).parent.parent.parent.parent


def _run(*arguments: str, typed: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Without what the shell of the test run sets."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEGISPAY_")}
    return subprocess.run(
        [sys.executable, "-c", "from infra.cli import main; main()", *arguments],
        cwd=ROOT,
        env=clean | env,
        input=typed,
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
        (["pay", "void", "nonsense"], "no payment's id"),
        (["doubt", "resolve", "nonsense", "--evidence", "x", "--who", "y"], "--charged or --not-charged"),
        (["api-key", "shop", "--scope", "everything"], "There are payments:read"),
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

        declined = _run("pay", "create", "5", "JPY", "--method", "pm_card_visa_chargeDeclined", **env)
        assert declined.returncode == 1
        assert " FAILED" in declined.stdout

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


@pytest.fixture(scope="module")
def stack(shared_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shared(shared_place, tmp_path_factory.mktemp("stack")) as made:
        yield made


def _pay(stack: Running, *arguments: str) -> tuple[int, Any]:
    done = _run("pay", *arguments, "--json", **stack.place.env("audit", simulator_ledger=stack.ledger))
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

    told = _run("pay", "refund", payment, "99", **stack.place.env("audit"))
    assert told.returncode == 1
    assert "refundable 1000" in told.stderr


@pytest.mark.stack
async def test_a_customers_challenge_is_shown_with_where_to_go(stack):
    made = _run(
        "pay",
        "create",
        "20",
        "EUR",
        "--method",
        "pm_card_threeDSecure2Required",
        "--json",
        **stack.place.env("audit"),
    )
    assert made.returncode == 1
    payment = json.loads(made.stdout)["payment_id"]

    env = stack.place.env("audit")
    url = ""

    def shown() -> bool:
        nonlocal url
        url = json.loads(_run("pay", "status", payment, "--json", **env).stdout)["action_url"]
        return url is not None

    await until(shown, "the read model has it")
    assert url.startswith("http://127.0.0.1:")
    assert f"has to go to {url}" in _run("pay", "status", payment, **env).stdout


@pytest.mark.stack
async def test_a_person_lists_asks_about_and_decides_a_payment_in_doubt(stack):
    env = stack.place.env("audit")

    async def doubt(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        # In a thread: the client beside it has to go on talking to Kafka.
        return await asyncio.to_thread(_run, "doubt", *arguments, typed=said, **env)

    async with psp.failing(stack), stack.client() as client:
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
        # A challenge of another test may be asked about meanwhile, and be in doubt as well.
        assert re.search(
            r"^stripe/sim-eu: \d+\.34 EUR in \d+ payments? for less than 5 min", words, re.MULTILINE
        )
        assert f"{paid.payment_id.hex}-s1 sale  12.34 EUR" in words
        assert "Nothing is in doubt." in (await doubt("list", "--manual")).stdout

        decision = ("resolve", payment, "--not-charged", "--evidence", "no charge at theirs", "--who", "Kim")

        async def asked() -> bool:
            """Not within 5 s of the question before."""
            said = await doubt("ask", payment, "--wait", "1")
            assert said.returncode == 1
            return "after 1 s" in said.stderr

        await until(asked, "the PSP was asked")
        story = (await doubt("show", payment)).stdout
        assert f"{paid.payment_id.hex}-s1: sale of 12.34 EUR" in story
        assert "sent to stripe/sim-eu: first attempt" in story
        assert "asked again (query" in story
        assert f"aegispay doubt resolve {payment} --operation {paid.payment_id.hex}-s1" in story

        unsure = await doubt(*decision, said="n\n")
        assert unsure.returncode == 1
        for shown in ("not_charged: not executed", "no charge at theirs", "Kim", "sale of 12.34 EUR"):
            assert shown in unsure.stdout
        assert (await doubt(*decision, "--json")).returncode == 69  # nobody could have been asked
        assert json.loads((await doubt("show", payment, "--json")).stdout)["status"] == "IN_DOUBT"

        decided = await doubt(*decision, said="y\n")
        assert decided.returncode == 0, decided.stderr
        assert f"{payment}: FAILED" in decided.stdout
        again = await doubt(*decision, "--yes")
        assert (again.returncode, "Nothing of it is in doubt" in again.stderr) == (69, True)
        story = (await doubt("show", payment)).stdout
        assert "decision not_charged, who Kim (aegispay doubt resolve), evidence no charge at theirs" in story


@pytest.mark.stack
def test_an_api_key_may_do_what_was_asked_for_it(place):
    env = place.env("admin")

    def scopes(*arguments: str) -> list[str]:
        made: list[str] = json.loads(_run("api-key", "shop", *arguments, "--json", **env).stdout)["scopes"]
        return made

    assert scopes() == ["payments:read", "payments:write", "refunds:write"]
    assert scopes("--read-only") == ["payments:read"]
    assert scopes("--scope", "doubt:resolve", "--scope", "payments:read") == [
        "payments:read",
        "doubt:resolve",
    ]
