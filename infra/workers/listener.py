"""The listener process hands every event to one listener hook: a process and a consumer group for each, so
that a slow one holds up no other, and no payment.

At least once, in order for each payment. An event is acknowledged once the hook has returned, or its dead
letter is written: docs/hooks.md.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from commands.hooks import Listener, PublishedEvent
from commands.messages import InvalidMessage
from commands.records import LISTENER_FAILED, DeadLetter, DeadLetters, Record
from infra.errors import Misconfigured
from infra.hooks import discovery, metrics
from infra.hooks.calls import Calls, Failed
from infra.kafka import topics
from infra.kafka.faust_runtime import Agent, KeyedConcurrency, run_agents
from infra.kafka.producers import KafkaDeadLetters, producing
from infra.process.runtime import Process, run
from infra.settings import ListenerSettings
from infra.workers.startup import ready_to_start

_PAUSE_S: Final = 0.2  # before the second try; doubled each time
_PAUSE_MAX_S: Final = 5.0

_log = structlog.get_logger()


class ListenerFailed(Exception):
    """A listener that is closed failed on an event: nothing of its partition is passed over."""


class EventListener:
    """Hands records to one hook. `calls`: bounds its threads."""

    def __init__(self, hook: Listener, calls: Calls, letters: DeadLetters) -> None:
        self._hook = hook
        self._calls = calls
        self._letters = letters

    async def handle(self, record: Record) -> None:
        """Returns when the hook has seen the event, or the dead letter about it is written. Raises
        `ListenerFailed` where the hook is closed."""
        try:
            event = event_of(record)
        except InvalidMessage as invalid:
            metrics.LETTERS.labels(self._hook.name).inc()
            await self._letters.send(DeadLetter.of(record, invalid))
            return
        failed = await deliver(self._hook, self._calls, event)
        if failed is None:
            return
        why = f"the listener {self._hook.name} failed {self._hook.tries} times: {failed.why}"
        if self._hook.on_failure == "closed":
            raise ListenerFailed(f"{why}, on {event.id}")
        metrics.LETTERS.labels(self._hook.name).inc()
        _log.error("dead letter of a listener", hook=self._hook.name, id=event.id, place=record.place)
        fault = InvalidMessage(LISTENER_FAILED, self._hook.name, why)
        await self._letters.send(DeadLetter.of(record, fault))


async def deliver(hook: Listener, calls: Calls, event: PublishedEvent) -> Failed | None:
    """Calls the hook until it returns, or its tries are used up. Returns the last failure; None: it has
    returned."""
    pause_s, failed = _PAUSE_S, None
    for number in range(hook.tries):
        if number:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
        result = await calls.call(hook, hook.run, event, gives=(type(None),))
        if not isinstance(result, Failed):
            return None
        failed = result
    return failed


def event_of(record: Record) -> PublishedEvent:
    """Reads a record of `payments.events`. Raises `InvalidMessage`."""
    id_, type_ = record.header("ce_id"), record.header("ce_type")
    if not id_ or not type_:
        raise InvalidMessage("header_missing", "ce_id", "the headers ce_id and ce_type are required")
    payment, _, version = id_.partition("/")
    try:
        content: Any = orjson.loads(record.content())
        event = PublishedEvent(
            id=id_,
            type=type_,
            payment_id=UUID(payment),
            version=int(version),
            correlation_id=record.header("correlation_id"),
            data=content,
        )
    except ValueError:
        raise InvalidMessage("event_invalid", None, "it is no event of ours, in JSON") from None
    if not isinstance(content, dict):
        raise InvalidMessage("event_invalid", None, "its value is no JSON object")
    return event


def chosen(listeners: Sequence[Listener], name: str) -> Listener | None:
    """Returns the listener of this name; without a name, the only one. None: none is installed. Raises
    `Misconfigured`."""
    if not name and len(listeners) < 2:
        return listeners[0] if listeners else None
    found = next((one for one in listeners if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in listeners) or "none"
        wrong = f"no listener is called {name}" if name else "several listeners are installed"
        raise Misconfigured(f"AEGISPAY_LISTENER: {wrong}; installed: {names}")
    return found


async def main(process: Process, settings: ListenerSettings) -> None:
    """Runs until a stop signal comes. Raises `ListenerFailed`, `Misconfigured` and Kafka's errors."""
    hook = chosen(discovery.installed(settings).listeners, settings.listener)
    if not await ready_to_start(process, settings):
        return
    if hook is None:
        process.log.warning("no listener hook is installed: there is nothing to do")
        process.ready()
        await process.stop.wait()
        return
    async with producing(settings, process.name) as producer:
        listener = EventListener(hook, Calls(settings.hook_threads), KafkaDeadLetters(producer, settings))
        mode = KeyedConcurrency(listener.handle, in_flight_max=settings.hook_threads)
        group = topics.listener_group(hook.name)
        await run_agents(process, settings, group, [Agent(group, topics.EVENTS, mode)])


if __name__ == "__main__":
    run("listener", ListenerSettings, main)
