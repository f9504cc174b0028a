import pytest
from prometheus_client import REGISTRY

from relay.log import CursorMoved, Position, load_cursor, move_cursor
from tests.place import Place
from tests.relay.history import connect, drain, ids_of, payments, records_of, relay_of, session, write

pytestmark = pytest.mark.stack


async def test_a_relay_goes_on_where_the_one_before_it_ended(place: Place) -> None:
    with connect(place) as connection:
        first = write(connection, payments(5))
        async with relay_of(place) as relay:
            await drain(relay)
        second = write(connection, payments(5))

    async with relay_of(place) as relay:
        published = await drain(relay)

    assert published == 5
    assert sorted(ids_of(await records_of(place))) == sorted(event.id for event in first + second)


async def test_a_relay_that_ended_before_it_saved_its_cursor_has_its_events_published_again(
    place: Place,
) -> None:
    with connect(place) as connection:
        (event,) = write(connection, payments(1))
    async with relay_of(place) as relay:
        await drain(relay)
    async with session(place) as connection:
        await move_cursor(connection, await load_cursor(connection), Position(0, "0", 0))

    async with relay_of(place) as relay:
        await drain(relay)

    assert ids_of(await records_of(place)) == [event.id, event.id]


async def test_a_relay_whose_cursor_was_moved_by_another_stops(place: Place) -> None:
    with connect(place) as connection:
        write(connection, payments(1))
        async with relay_of(place) as relay, relay_of(place) as other:
            await drain(other)

            with pytest.raises(CursorMoved):
                await drain(relay)


async def test_a_relay_that_loses_its_session_stops(place: Place) -> None:
    with connect(place, "admin") as owner:
        async with relay_of(place) as relay:
            await drain(relay)
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'aegispay_relay' AND application_name = 'aegispay-relay'"
            )

            with pytest.raises(Exception, match="terminating connection"):
                await drain(relay)


async def test_the_age_of_what_waits_behind_an_open_transaction_is_told(place: Place) -> None:
    with connect(place) as dawdler, connect(place) as other:
        with dawdler.transaction():
            write(dawdler, payments(1))
            write(other, payments(1))
            async with relay_of(place) as relay:
                await relay.watch()
                held_s = await relay.watch()
                lag_s = REGISTRY.get_sample_value("aegispay_relay_lag_seconds")
        async with relay_of(place) as relay:
            await drain(relay)
            await relay.watch()

    assert held_s > 0
    assert lag_s is not None
    assert lag_s > 0
    assert REGISTRY.get_sample_value("aegispay_relay_lag_seconds") == 0
