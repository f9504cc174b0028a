"""Hooks on the path of a payment: what they decide happens once, is recorded, and ends no worker."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest
from typer.testing import CliRunner

from commands.client import Client, Refused
from commands.records import LISTENER_FAILED
from infra.cli import app
from infra.kafka.dead_letters import NotSent, about_listener, read, send_again
from infra.settings import KafkaSettings
from tests.support.hooks import calls
from tests.support.processes import TWO_ACCOUNTS, Running, running
from tests.support.until import until

pytestmark = pytest.mark.stack

HOOKS = ",".join(f"tests.support.hooks:{one}" for one in ("opening_hours", "risk", "residency"))
REST = ("simulator", "relay", "gateway", "timers", "read-models")


def order(key: str, tmp_path, **metadata: str) -> dict:
    return {
        "idempotency_key": key,
        "amount_minor": 1099,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "metadata": {"calls": str(tmp_path / f"{key}.calls")} | metadata,
    }


async def events(stack: Running, payment: UUID) -> list[tuple[str, dict]]:
    rows = await stack.rows(
        "SELECT topic, convert_from(state, 'UTF8')::jsonb FROM payment_events WHERE originator_id = %s "
        "ORDER BY originator_version",
        payment,
    )
    return [(topic, state) for topic, state in rows]


async def _reviewed_in_the_terminal(stack: Running, client: Client, tmp_path, monkeypatch) -> str | None:
    """Holds a payment, lists it and allows it by `aegispay review`. Returns how it ended."""
    held = await client.pay(**order("terminal", tmp_path, fraud="review"))
    for name, value in stack.environment.env("audit").items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()

    async def listed() -> list[str]:
        result = await asyncio.to_thread(runner.invoke, app, ["review", "list", "--json"])
        return [one["payment_id"] for one in json.loads(result.stdout)]

    async def is_listed() -> bool:
        return str(held.payment_id) in await listed()

    await until(is_listed, "the held payment in the list")
    arguments = ["review", "allow", str(held.payment_id), "--evidence", "a call", "--who", "Kim", "--yes"]
    done = await asyncio.to_thread(runner.invoke, app, arguments)
    assert done.exit_code == 0, done.output
    again = await asyncio.to_thread(runner.invoke, app, arguments)
    assert again.exit_code == 1
    assert "not_held" in again.output
    end = await client.wait_settled(
        await client.create_payment(**order("terminal", tmp_path, fraud="review"))
    )
    recorded = dict(await events(stack, held.payment_id))
    assert recorded["payment.reviewed.v1"]["who"] == "Kim (aegispay review allow)"
    return end.status


async def test_what_the_hooks_decide_happens_and_is_recorded(environment, tmp_path, monkeypatch):
    async with running(environment, tmp_path, *REST, accounts=TWO_ACCOUNTS) as stack:
        await stack.start("command", hooks=HOOKS)
        async with stack.client() as client:
            paid = await client.pay(**order("allowed", tmp_path, only="sim-us"))
            with pytest.raises(Refused) as closed:
                await client.create_payment(**order("closed", tmp_path, validation="refuse"))
            with pytest.raises(Refused) as denied:
                await client.create_payment(**order("denied", tmp_path, fraud="deny"))
            with pytest.raises(Refused) as hung:
                await client.create_payment(**order("hung", tmp_path, fraud="hang"))
            with pytest.raises(Refused) as raised:
                await client.create_payment(**order("raised", tmp_path, fraud="raise"))

            held = await client.pay(**order("held", tmp_path, fraud="review"))
            person = {"evidence": "the customer called", "who": "ada"}
            allowed = await client.review(held.payment_id, idempotency_key="r", decision="allow", **person)
            captured = await client.wait(allowed)
            other = await client.pay(**order("other", tmp_path, fraud="review"))
            no = await client.review(other.payment_id, idempotency_key="r", decision="deny", **person)
            assert await _reviewed_in_the_terminal(stack, client, tmp_path, monkeypatch) == "CAPTURED"
            late = await client.pay(
                **order("late", tmp_path, fraud="review"), expires_in=timedelta(seconds=3)
            )
            await stack.has_status(late.payment_id, "EXPIRED")

        assert (paid.status, captured.status, no.status, no.result) == (
            "CAPTURED",
            "CAPTURED",
            "REJECTED",
            "accepted",
        )
        assert (held.status, held.code, held.detail) == (
            "IN_REVIEW",
            "held_for_review",
            "risk (score 0.70): a new customer",
        )
        assert (closed.value.code, closed.value.detail) == ("shop_closed", "the shop is closed on Sundays")
        assert (denied.value.code, denied.value.detail) == ("denied_by_fraud_check", "a stolen card")
        assert hung.value.code == raised.value.code == "hook_failed"
        assert "timed out after 500 ms" in hung.value.detail
        recorded = await events(stack, paid.payment_id)
        assert [topic for topic, _ in recorded[1:4]] == ["hook.decided.v1"] * 3
        assert recorded[2][1]["score"] == 0.1
        assert recorded[4][1]["account"] == "sim-us"
        assert len(stack.charges()) == 3
        assert "pm_card_visa" not in (tmp_path / "command.log").read_text()
        verdict = await stack.verdict()
        assert verdict.ok, verdict.as_json()


async def test_a_worker_that_is_killed_before_the_commit_consults_again_and_a_repeat_never_does(
    environment, tmp_path
):
    file = tmp_path / "killed.calls"
    async with running(environment, tmp_path, *REST) as stack:
        await stack.start(
            "command", hooks=HOOKS, failpoints="command.before_save:kill", failpoint_marks=tmp_path
        )
        async with stack.client(reply_timeout_s=60) as client:
            creating = asyncio.create_task(client.create_payment(**order("killed", tmp_path)))
            await stack.died("command")
            assert calls(file, "fraud") == 1

            await stack.start("command", hooks=HOOKS)
            first = await creating
            assert calls(file, "fraud") == 2
            await client.wait(first)

            again = [await client.create_payment(**order("killed", tmp_path)) for _ in range(3)]

        assert {one.payment_id for one in again} == {first.payment_id}
        assert [calls(file, hook) for hook in ("validation", "fraud", "routing")] == [2, 2, 2]
        recorded = await events(stack, first.payment_id)
        assert [topic for topic, _ in recorded].count("hook.decided.v1") == 3
        assert len(stack.charges(first.payment_id)) == 1

        # A replay, in a worker that has no hooks at all, and of a reader that only shows it.
        await stack.restart("command")
        async with stack.client() as client:
            refunded = await client.refund(first.payment_id, idempotency_key="refund")
            await client.wait(refunded)
        assert calls(file, "fraud") == 2


async def test_a_hook_that_cannot_be_loaded_stops_the_worker_with_a_line_for_people(environment, tmp_path):
    async with running(environment, tmp_path, "simulator") as stack:
        with pytest.raises(Exception, match=r"command"):
            await stack.start("command", hooks="tests.support.hooks:risks")

        log = (tmp_path / "command.log").read_text()
        assert "hook tests.support.hooks:risks (AEGISPAY_HOOKS): tests.support.hooks has no risks" in log


async def _lines(file) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def test_a_listener_gets_every_event_though_it_is_killed_and_no_payment_waits_for_it(
    environment, tmp_path
):
    file = tmp_path / "events.txt"
    async with running(environment, tmp_path) as stack, stack.client() as client:
        first = await client.pay(**order("before", tmp_path))
        await stack.start("listener", hooks="tests.support.hooks:ledger", events_file=file)

        async def seen(count: int) -> bool:
            return len(set(await _lines(file))) == count

        await until(lambda: seen(3), "the events from before its start")
        await stack.kill("listener")
        second = await client.pay(**order("meanwhile", tmp_path))
        assert second.status == "CAPTURED"
        await stack.start("listener", hooks="tests.support.hooks:ledger", events_file=file)
        await until(lambda: seen(6), "the events from while it was away")

    lines = list(dict.fromkeys(await _lines(file)))
    for paid in (first, second):
        own = [line.split() for line in lines if line.startswith(str(paid.payment_id))]
        assert own == [
            [f"{paid.payment_id}/1", "payment.requested.v1"],
            [f"{paid.payment_id}/2", "operation.started.v1"],
            [f"{paid.payment_id}/3", "operation.approved.v1"],
        ]


async def test_what_a_listener_fails_on_is_a_dead_letter_of_its_own_and_can_be_handed_over_again(
    environment, tmp_path, monkeypatch
):
    file = tmp_path / "events.txt"
    async with running(environment, tmp_path) as stack, stack.client() as client:
        await stack.start("listener", hooks="tests.support.hooks:picky", events_file=file)
        await client.pay(**order("order", tmp_path))

        async def rest_seen() -> bool:
            return len(await _lines(file)) == 2

        await until(rest_seen, "the events around the one that it fails on")
        settings = environment.settings(KafkaSettings, "audit")
        letters = [one for one in await read(settings, 100) if one.letter.code == LISTENER_FAILED]
        (letter,) = letters
        assert letter.letter.path == "picky"
        assert "raised ValueError" in letter.letter.detail
        with pytest.raises(NotSent, match=r"aegispay dead-letters deliver picky"):
            await send_again(settings, letter.letter)
        assert about_listener(letters, letter.place, "ledger") is None

        monkeypatch.setenv("AEGISPAY_HOOKS", "tests.support.hooks:picky")
        for name, value in environment.env("audit").items():
            monkeypatch.setenv(name, value)
        again = await asyncio.to_thread(
            CliRunner().invoke, app, ["dead-letters", "deliver", "picky", letter.place]
        )
        assert again.exit_code == 1
        assert "picky failed again: raised ValueError" in str(again.exception)
        assert "pm_card_visa" not in (tmp_path / "listener.log").read_text()
