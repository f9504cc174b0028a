import asyncio

import pytest
from prometheus_client import REGISTRY

from relay.log import CursorMoved, Position, load_cursor, move_cursor, page
from tests.relay.history import (
    Written,
    drain,
    ids_of,
    in_order_per_payment,
    payments,
    records_of,
    relay_of,
    session,
    write,
)
from tests.support.environment import Environment

pytestmark = pytest.mark.stack


async def test_a_relay_goes_on_where_the_one_before_it_ended(environment: Environment) -> None:
    with environment.connect() as connection:
        first = write(connection, payments(5))
        async with relay_of(environment) as relay:
            await drain(relay)
        second = write(connection, payments(5))

    async with relay_of(environment) as relay:
        published = await drain(relay)

    assert published == 5
    assert sorted(ids_of(await records_of(environment))) == sorted(event.id for event in first + second)


async def test_a_relay_that_ended_before_it_saved_its_cursor_has_its_events_published_again(
    environment: Environment,
) -> None:
    with environment.connect() as connection:
        (event,) = write(connection, payments(1))
    async with relay_of(environment) as relay:
        await drain(relay)
    async with session(environment) as connection:
        await move_cursor(connection, await load_cursor(connection), Position(0, "0", 0))

    async with relay_of(environment) as relay:
        await drain(relay)

    assert ids_of(await records_of(environment)) == [event.id, event.id]


async def test_a_relay_whose_cursor_was_moved_by_another_stops(environment: Environment) -> None:
    with environment.connect() as connection:
        write(connection, payments(1))
        async with relay_of(environment) as relay, relay_of(environment) as other:
            await drain(other)

            with pytest.raises(CursorMoved):
                await drain(relay)


async def test_a_leader_that_was_overtaken_with_a_page_in_hand_adds_repeats_in_order_and_stops(
    environment: Environment,
) -> None:
    ids = payments(8)
    with environment.connect() as connection:
        write(connection, [Written(event.payment_id, version) for version in (1, 2) for event in ids])
        async with relay_of(environment) as zombie, relay_of(environment) as other:
            in_hand = await page(zombie._connection, zombie._published, 1, 500)
            write(connection, [Written(event.payment_id, 3) for event in ids])
            await drain(other)

            _, acks = await zombie._publisher.send(in_hand)
            await asyncio.gather(*acks)
            zombie._published = in_hand[-1].position
            with pytest.raises(CursorMoved):
                await zombie.save()

    published = ids_of(await records_of(environment))
    assert len(published) == 8 * 5
    assert in_order_per_payment(published)


async def test_a_relay_that_loses_its_session_stops(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        async with relay_of(environment) as relay:
            await drain(relay)
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'aegispay_relay' AND application_name = 'aegispay-relay'"
            )

            with pytest.raises(Exception, match="terminating connection"):
                await drain(relay)


async def test_the_age_of_what_waits_behind_an_open_transaction_is_reported(environment: Environment) -> None:
    with environment.connect() as dawdler, environment.connect() as other:
        with dawdler.transaction():
            write(dawdler, payments(1))
            write(other, payments(1))
            async with relay_of(environment) as relay:
                await relay.watch()
                held_s = await relay.watch()
                lag_s = REGISTRY.get_sample_value("aegispay_relay_lag_seconds")
        async with relay_of(environment) as relay:
            await drain(relay)
            await relay.watch()

    assert held_s > 0
    assert lag_s is not None
    assert lag_s > 0
    assert REGISTRY.get_sample_value("aegispay_relay_lag_seconds") == 0
