"""A store that does not hold what Kafka has is never published from."""

from collections.abc import Callable

import pytest

from infra.kafka import topics
from infra.kafka.reader import last_records, partitions_of
from infra.settings import RelaySettings
from relay.head_check import StoreDiffers, check_heads, is_of_relay
from relay.log import Position
from relay.publish import partition
from tests.relay.history import Written, drain, payments, relay_of, session, write, write_as_stranger
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


async def test_a_store_that_was_set_back_is_noticed_behind_records_of_strangers(
    one_partition: Environment,
) -> None:
    await _published(one_partition)
    await write_as_stranger(one_partition, 2_100)
    with one_partition.connect("admin") as owner:
        owner.execute("DELETE FROM payment_events")

    with pytest.raises(StoreDiffers, match="not in the event store"):
        await _check(one_partition)


async def test_any_number_of_records_of_strangers_is_passed_over(one_partition: Environment) -> None:
    await _published(one_partition)
    await write_as_stranger(one_partition, 2_100)

    await _check(one_partition)


async def test_a_partition_that_only_strangers_wrote_to_has_nothing_to_compare(
    environment: Environment,
) -> None:
    with environment.connect() as connection:
        write(connection, [_in_another_partition_than(b"x", environment)])
    async with relay_of(environment) as relay:
        await drain(relay)
    await write_as_stranger(environment, 1)

    await _check(environment)


def _in_another_partition_than(key: bytes, environment: Environment) -> Written:
    count = environment.settings(RelaySettings, "relay").partitions
    taken = partition(key.decode(), count)
    return next(one for one in payments(100) if partition(str(one.payment_id), count) != taken)


@pytest.mark.parametrize("strangers", [0, 20])
async def test_a_kafka_that_lost_its_log_is_noticed(environment: Environment, strangers: int) -> None:
    await write_as_stranger(environment, strangers)

    with pytest.raises(StoreDiffers, match="holds no event"):
        await _check(environment)
