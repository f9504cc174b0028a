"""Marks timers stuck whose wake was dead-lettered: the command worker could not use it, and no later wake
would fare better.

Invariant: a letter is acknowledged after its timer is marked. To mark one again changes nothing.
"""

from contextlib import suppress
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError
from psycopg import AsyncConnection
from pydantic import BaseModel, ValidationError

from commands.messages import Wake
from commands.sql import statements
from relay.ports import Log, RecordAt
from relay.timers import STUCK

_MARK: Final = statements(__file__)["mark_stuck"]


class _Place(BaseModel):
    """The part of a dead letter that names where the original record stands."""

    topic: str
    partition: int
    offset: int


class StuckTimers:
    """Reads `dead.letters` in the consumer group of all timers processes."""

    def __init__(
        self,
        connection: AsyncConnection,
        letters: AIOKafkaConsumer,
        record_at: RecordAt,
        commands_topic: str,
        log: Log,
    ) -> None:
        """`letters`: started, subscribed to `dead.letters` in the group; `commands_topic` with the
        installation's prefix."""
        self._connection = connection
        self._letters = letters
        self._record_at = record_at
        self._commands_topic = commands_topic
        self._log = log

    async def run_once(self) -> int:
        """Marks the timers that the letters since the last call name, and returns how many. Never waits
        for letters."""
        marked = 0
        # The library fetches letters in the background: due timers need not wait for them here.
        read = await self._letters.getmany(timeout_ms=0)
        for letters in read.values():
            for letter in letters:
                # The timers are marked first: a letter that is read again after a kill finds its timer
                # marked.
                marked += await self._mark(letter.value)
        if read:
            # Partitions that were lost: another process reads these letters again, and marks nothing twice.
            with suppress(CommitFailedError, IllegalStateError):
                await self._letters.commit()
        STUCK.inc(marked)
        return marked

    async def _mark(self, letter: bytes) -> int:
        try:
            place = _Place.model_validate_json(letter)
        except ValidationError:
            return 0
        if place.topic != self._commands_topic:
            return 0
        record = await self._record_at(place.topic, place.partition, place.offset)
        if record is None or (wake := _wake(record.value)) is None:
            return 0
        # Under another key it is not one that a timers process sent.
        if record.key != str(wake.payment_id).encode():
            return 0
        # The wake's own time names the timer: a row that the handler has moved since is another one.
        done = await self._connection.execute(_MARK, (wake.payment_id, wake.due_at))
        if done.rowcount:
            self._log.error(
                "timer is stuck: its wake was dead-lettered",
                payment_id=str(wake.payment_id),
                place=f"{place.topic}/{place.partition}/{place.offset}",
            )
        return done.rowcount


def _wake(value: bytes | None) -> Wake | None:
    """Reads only three fields, so that a later release's wake is understood too. None: the record is no
    wake."""
    try:
        content = orjson.loads(value or b"")
        if not str(content["type"]).startswith("wake."):
            return None
        return Wake(
            command_id=content["command_id"], payment_id=content["payment_id"], due_at=content["due_at"]
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, ValidationError):
        return None
