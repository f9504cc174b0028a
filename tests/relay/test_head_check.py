"""A store that does not hold what Kafka has is never published from."""

from collections.abc import Callable

import pytest

from infra.kafka import topics
from infra.kafka.producers import producing
from infra.kafka.reader import last_records, partitions_of
from infra.settings import RelaySettings
from relay.head_check import StoreDiffers, check_heads, is_of_relay
from relay.log import Position
from tests.relay.history import Written, drain, payments, relay_of, session, write
from tests.support.environment import Environment

pytestmark = pytest.mark.stack

_SOMEWHERE = Position(1, "700", 1)


@pytest.fixture
def one_partition(environment_of: Callable[[int], Environment]) -> Environment:
    return environment_of(1)


async def _published(environment: Environment, count: int = 12) -> list[Written]:
    with environment.connect() as connection:
        written = write(connection, payments(count))
    async with relay_of(environment) as relay:
        await drain(relay)
    return written


async def _check(environment: Environment, cursor: Position = _SOMEWHERE) -> None:
    async with session(environment) as connection:
        settings = environment.settings(RelaySettings, "relay")
        heads = await last_records(settings.kafka, partitions_of(settings, topics.EVENTS), is_of_relay)
        await check_heads(connection, heads, environment.prefix + topics.EVENTS, cursor)


async def test_a_store_that_holds_the_last_record_of_each_partition_is_sound(
    environment: Environment,
) -> None:
    await _published(environment)

    await _check(environment)


async def test_a_first_start_finds_nothing_to_compare(environment: Environment) -> None:
    await _check(environment, Position(0, "0", 0))


async def test_a_store_that_was_set_back_in_time_is_noticed(environment: Environment) -> None:
    written = await _published(environment)
    with environment.connect("admin") as owner:
        owner.execute("DELETE FROM payment_events WHERE originator_id = %s", (written[-1].payment_id,))

    # The newest record of its partition: nothing was published behind it.
    with pytest.raises(StoreDiffers, match="not in the event store"):
        await _check(environment)


async def test_a_store_that_went_another_way_after_it_was_set_back_is_noticed(
    environment: Environment,
) -> None:
    written = await _published(environment)
    with environment.connect("admin") as owner:
        owner.execute(
            "UPDATE payment_events SET state = '{}' WHERE originator_id = %s", (written[-1].payment_id,)
        )

    with pytest.raises(StoreDiffers, match="is another event"):
        await _check(environment)


async def _write_as_stranger(environment: Environment, count: int) -> None:
    """Writes so many records to one partition, as nobody but a relay should."""
    async with producing(environment.settings(RelaySettings, "relay"), "stranger") as stranger:
        for ack in [
            await stranger.send(environment.prefix + topics.EVENTS, b"{}", key=b"x") for _ in range(count)
        ]:
            await ack


async def test_records_of_strangers_are_passed_over(environment: Environment) -> None:
    await _published(environment)
    await _write_as_stranger(environment, 20)

    await _check(environment)


async def test_a_store_that_was_set_back_is_noticed_behind_records_of_strangers(
    one_partition: Environment,
) -> None:
    await _published(one_partition)
    await _write_as_stranger(one_partition, 20)
    with one_partition.connect("admin") as owner:
        owner.execute("DELETE FROM payment_events")

    with pytest.raises(StoreDiffers, match="not in the event store"):
        await _check(one_partition)


async def test_a_partition_that_ends_in_a_thousand_records_of_strangers_is_noticed(
    environment: Environment,
) -> None:
    await _published(environment)
    await _write_as_stranger(environment, 2100)

    with pytest.raises(StoreDiffers, match="not written by a relay"):
        await _check(environment)


async def test_a_kafka_that_lost_its_log_is_noticed(environment: Environment) -> None:
    with pytest.raises(StoreDiffers, match="is empty"):
        await _check(environment)
