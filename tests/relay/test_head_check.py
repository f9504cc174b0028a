"""A store that does not hold what Kafka has is never published from."""

import pytest

from infra import topics
from infra.broker import producing
from infra.settings import RelaySettings
from relay.head_check import StoreDiffers, check_heads
from relay.log import Position
from tests.place import Place
from tests.relay.history import Written, connect, drain, payments, relay_of, session, write

pytestmark = pytest.mark.stack

_SOMEWHERE = Position(1, "700", 1)


async def _published(place: Place, count: int = 12) -> list[Written]:
    with connect(place) as connection:
        written = write(connection, payments(count))
    async with relay_of(place) as relay:
        await drain(relay)
    return written


async def _check(place: Place, cursor: Position = _SOMEWHERE) -> None:
    async with session(place) as connection:
        await check_heads(connection, place.kafka, place.prefix + topics.EVENTS, cursor)


async def test_a_store_that_holds_the_last_record_of_each_partition_is_sound(place: Place) -> None:
    await _published(place)

    await _check(place)


async def test_a_first_start_finds_nothing_to_compare(place: Place) -> None:
    await _check(place, Position(0, "0", 0))


async def test_a_store_that_was_set_back_in_time_is_noticed(place: Place) -> None:
    written = await _published(place)
    with connect(place, "admin") as owner:
        owner.execute("DELETE FROM payment_events WHERE originator_id = %s", (written[-1].payment_id,))

    # The newest record of its partition: nothing was published behind it.
    with pytest.raises(StoreDiffers, match="not in the event store"):
        await _check(place)


async def test_a_store_that_went_another_way_after_it_was_set_back_is_noticed(place: Place) -> None:
    written = await _published(place)
    with connect(place, "admin") as owner:
        owner.execute(
            "UPDATE payment_events SET state = '{}' WHERE originator_id = %s", (written[-1].payment_id,)
        )

    with pytest.raises(StoreDiffers, match="is another event"):
        await _check(place)


async def test_a_record_that_no_relay_wrote_is_noticed(place: Place) -> None:
    await _published(place)
    async with producing(place.settings(RelaySettings, "relay"), "stranger") as stranger:
        await stranger.send_and_wait(place.prefix + topics.EVENTS, b"{}", key=b"x")

    with pytest.raises(StoreDiffers, match="not written by a relay"):
        await _check(place)


async def test_a_kafka_that_lost_its_log_is_noticed(place: Place) -> None:
    with pytest.raises(StoreDiffers, match="is empty"):
        await _check(place)
