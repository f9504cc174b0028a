"""One call of a hook: its limit, its failures, and the threads that it may hold."""

import asyncio
import threading
import time

import pytest

from commands.hooks import Accept, PreValidation, Refuse
from infra.hooks.calls import Calls, Failed, Returned
from infra.hooks.metrics import CALLS, LATE
from tests.support.until import until

TOKEN = "pm_card_secret_4711"


def hook(run, within_s: float = 0.05) -> PreValidation:
    return PreValidation(name="tested", run=run, on_failure="open", within_s=within_s)


async def call(run, *, within_s: float = 0.05, calls: Calls | None = None) -> Returned | Failed:
    made = hook(run, within_s)
    return await (calls or Calls(4)).call(made, made.run, TOKEN, gives=(Accept, Refuse))


def count(result: str) -> float:
    return CALLS.labels("pre_validation", "tested", result)._value.get()


async def of_loop(_payment):
    await asyncio.sleep(0)
    return Accept()


class AsyncObject:
    async def __call__(self, _payment) -> Accept:
        return Accept()


@pytest.mark.parametrize("run", [lambda _: Accept(), of_loop, AsyncObject()])
async def test_a_sync_and_an_async_hook_return_their_decision(run):
    before = count("accept")

    result = await call(run)

    assert isinstance(result, Returned)
    assert isinstance(result.value, Accept)
    assert count("accept") == before + 1


async def test_a_sync_hook_leaves_the_loop_free():
    assert await call(lambda _: Refuse("t", threading.current_thread().name)) != threading.main_thread().name
    running = asyncio.create_task(call(lambda _: time.sleep(0.02) or Accept()))
    ticks = 0
    while not running.done():
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 10


async def raises(_payment):
    raise ValueError(f"no such card: {TOKEN}")


async def exits(_payment):
    raise SystemExit(3)


def stops(_payment):
    raise StopIteration


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (raises, "raised ValueError"),
        (lambda payment: payment.no_such_field, "raised AttributeError"),
        (exits, "raised HookExited"),
        (stops, "raised RuntimeError"),
        (lambda _: None, "returned NoneType, not Accept, Refuse"),
        (lambda _: of_loop(None), "returned coroutine, not Accept, Refuse"),
        (lambda _: Refuse("Not a code", "words"), "raised ValueError"),
    ],
)
async def test_a_hook_that_raises_or_returns_nonsense_has_failed_and_its_words_go_nowhere(run, why, capsys):
    result = await call(run)

    assert isinstance(result, Failed)
    assert result.why == why
    logged = capsys.readouterr().out
    assert "tested" in logged
    assert TOKEN not in logged


async def test_a_late_async_hook_is_given_up_at_its_limit_even_if_it_swallows_its_cancellation():
    release = asyncio.Event()
    late = LATE.labels("pre_validation", "tested")

    async def stubborn(_payment):
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return Accept()

    before = late._value.get()
    try:
        result = await call(stubborn)

        assert isinstance(result, Failed)
        assert result.why == "timed out after 50 ms"
        assert late._value.get() == before + 1
    finally:
        release.set()  # else the test's own loop would wait for it for ever
    await until(lambda: _is(late._value.get() == before), "the late call ended", 5)


async def test_late_sync_hooks_keep_their_threads_and_a_further_call_fails_at_once():
    calls, release = Calls(2), threading.Event()
    hanging = [call(lambda _: release.wait(30) and Accept(), calls=calls) for _ in range(2)]
    assert {result.why for result in await asyncio.gather(*hanging)} == {"timed out after 50 ms"}

    refused = await call(lambda _: Accept(), calls=calls)

    assert isinstance(refused, Failed)
    assert refused.why == "every thread is held by a call that hangs"
    release.set()
    await until(lambda: _is(calls._threads._taken == 0), "the threads came back", 5)
    assert isinstance(await call(lambda _: Accept(), calls=calls, within_s=5), Returned)


async def test_those_that_wait_for_a_thread_are_refused_when_the_last_one_hangs():
    calls, release = Calls(1), threading.Event()
    first = asyncio.create_task(call(lambda _: release.wait(30) and Accept(), calls=calls))
    await asyncio.sleep(0)

    second = await call(lambda _: Accept(), calls=calls)

    assert (second.why, (await first).why) == (
        "every thread is held by a call that hangs",
        "timed out after 50 ms",
    )
    release.set()


async def test_more_calls_than_threads_all_get_their_turn_and_the_wait_counts_against_none():
    calls = Calls(2)
    lock, running, most = threading.Lock(), 0, 0

    def work(_payment):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return Accept()

    results = await asyncio.gather(*[call(work, calls=calls, within_s=5) for _ in range(20)])

    assert all(isinstance(result, Returned) for result in results)
    assert most == 2


async def test_calls_one_after_another_use_the_same_thread():
    calls = Calls(4)

    named = [await call(lambda _: Refuse("t", str(threading.get_ident())), calls=calls) for _ in range(5)]

    assert len({one.value.detail for one in named}) == 1


async def _is(value: bool) -> bool:
    return value
