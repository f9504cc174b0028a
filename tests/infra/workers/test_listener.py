"""A listener hook: every event at least once, in order for each payment, and what becomes of its failures."""

from uuid import UUID

import pytest

from commands.hooks import Listener
from commands.records import LISTENER_FAILED, DeadLetter, Record
from infra.errors import Misconfigured
from infra.hooks.calls import Calls
from infra.workers.listener import EventListener, ListenerFailed, chosen

PAYMENT = "c0ffee00-0000-4000-8000-000000000001"


def record(
    version: int = 3, value: bytes | None = b'{"reason": "first attempt"}', **headers: bytes
) -> Record:
    given = {"ce_id": f"{PAYMENT}/{version}".encode(), "ce_type": b"operation.started.v1"} | headers
    return Record("payments.events", 0, version, PAYMENT.encode(), value, given, 1000)


class Letters:
    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []

    async def send(self, letter: DeadLetter) -> None:
        self.sent.append(letter)


def listener(run, letters: Letters, **more) -> EventListener:
    hook = Listener(name="ledger", run=run, **{"on_failure": "open", "tries": 2} | more)
    return EventListener(hook, Calls(2), letters)


@pytest.fixture
def letters() -> Letters:
    return Letters()


async def test_an_event_is_handed_over_with_its_id_and_its_content(letters):
    seen = []

    await listener(seen.append, letters).handle(record(correlation_id=b"order-7"))

    (event,) = seen
    assert (event.id, event.type) == (f"{PAYMENT}/3", "operation.started.v1")
    assert (event.payment_id, event.version, event.correlation_id) == (UUID(PAYMENT), 3, "order-7")
    assert event.data == {"reason": "first attempt"}
    assert letters.sent == []


async def test_a_failure_that_passes_is_tried_again(letters):
    tries = []

    def second_time(event):
        tries.append(event.id)
        if len(tries) == 1:
            raise ConnectionError

    await listener(second_time, letters).handle(record())

    assert tries == [f"{PAYMENT}/3"] * 2
    assert letters.sent == []


async def test_an_event_that_fails_each_time_becomes_a_dead_letter_of_this_listener(letters):
    await listener(lambda _: 1 / 0, letters).handle(record())

    (letter,) = letters.sent
    assert (letter.code, letter.path) == (LISTENER_FAILED, "ledger")
    assert (letter.topic, letter.partition, letter.offset) == ("payments.events", 0, 3)
    assert "failed 2 times: raised ZeroDivisionError" in letter.detail


async def test_a_closed_listener_ends_the_process_instead_of_passing_an_event_over(letters):
    with pytest.raises(ListenerFailed, match=r"ledger failed 2 times"):
        await listener(lambda _: 1 / 0, letters, on_failure="closed").handle(record())

    assert letters.sent == []


@pytest.mark.parametrize(
    "unusable",
    [
        record(value=b"{"),
        record(value=None),
        record(value=b"[]"),
        record(ce_id=b"nonsense"),
        record(ce_type=b""),
    ],
)
async def test_what_is_no_event_becomes_a_dead_letter_and_reaches_no_hook(letters, unusable):
    seen = []

    await listener(seen.append, letters).handle(unusable)

    assert seen == []
    assert [letter.code for letter in letters.sent] in (["event_invalid"], ["header_missing"])


def test_the_setting_chooses_a_listener_and_one_alone_needs_none():
    first, second = (Listener(name=name, run=print, on_failure="open") for name in ("first", "second"))

    assert chosen([], "") is None
    assert chosen([first], "") is first
    assert chosen([first, second], "second") is second
    with pytest.raises(Misconfigured, match=r"several listeners are installed; installed: first, second"):
        chosen([first, second], "")
    with pytest.raises(Misconfigured, match=r"no listener is called third; installed: first"):
        chosen([first], "third")
