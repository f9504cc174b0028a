"""The history of PSP accounts, from samples to the table that the API reads."""

import asyncio

import pytest

from commands.records import DeadLetter, Record
from infra.process.runtime import Process
from infra.settings import ReadModelSettings
from infra.workers import read_models
from infra.workers.read_models import GatewayHistory
from tests.infra.workers.test_health import ACCOUNT, send, working
from tests.projections.test_gateway_history import change, minute
from tests.support.environment import Environment
from tests.support.event_stories import read_models_connection
from tests.support.until import until

pytestmark = pytest.mark.stack

LOG = Process("test").log


class Letters:
    """A dead.letters in memory."""

    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []

    async def send(self, letter: DeadLetter) -> None:
        self.sent.append(letter)


def record_of(value: bytes, offset: int) -> Record:
    return Record("gateways.history", 0, offset, b"stripe-eu", value, {}, 0)


async def test_what_is_no_history_becomes_a_dead_letter_and_the_rest_is_written_once(database: Environment):
    letters = Letters()
    records = [
        record_of(value, offset) for offset, value in enumerate((minute(0).dump(), b"{", change(0).dump()))
    ]
    async with read_models_connection(database) as conn:
        history = GatewayHistory(conn, letters, LOG)
        for _ in range(2):
            await history.handle(records)

        assert [(one.offset, one.code) for one in letters.sent] == [(1, "type_unknown")] * 2
        assert await rows(conn, "gateway_minutes") == 2
        assert await rows(conn, "gateway_circuit_changes") == 1
        await history.run_once()
        assert await rows(conn, "gateway_minutes") == 2, "of today: kept"


async def test_a_forged_record_of_the_history_is_a_dead_letter_and_the_rest_is_written(database: Environment):
    letters = Letters()
    forged = [
        change(1).dump().replace(b"5 calls", b"5 \\u0000 calls"),
        change(2).dump().replace(b"5 calls", b"x" * 950_000),
        minute(3).dump().replace(b'"approved":1', b'"approved":' + b"9" * 40),
        minute(4, p50_ms=7.5).dump().replace(b"7.5", b"1e39"),
        minute(5).dump().replace(b"2026-", b"9999-"),
    ]
    # Less than PostgreSQL's `real` holds: taken for 0.
    tiny = minute(6, p50_ms=7.5).dump().replace(b"7.5", b"1e-300")
    values = [minute(0).dump(), *forged, tiny, change(0).dump()]
    async with read_models_connection(database) as conn:
        await GatewayHistory(conn, letters, LOG).handle([record_of(one, at) for at, one in enumerate(values)])

        assert [one.offset for one in letters.sent] == [1, 2, 3, 4, 5]
        assert all(len(f"{one.path} {one.detail}") < 400 for one in letters.sent)
        assert await rows(conn, "gateway_minutes") == 4
        assert await rows(conn, "gateway_circuit_changes") == 1


async def rows(conn, table: str) -> int:
    return (await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone())[0]


async def test_a_circuits_change_and_its_minute_reach_the_table_with_the_reason(environment: Environment):
    process = Process("read-models")
    task = asyncio.create_task(
        read_models.main(process, environment.settings(ReadModelSettings, "read_models"))
    )
    try:
        async with working(environment):
            await send(environment, *["failed"] * 5)
            async with read_models_connection(environment) as conn:

                async def changed() -> list[tuple[str, str, str]]:
                    found = await conn.execute("SELECT account, after, reason FROM gateway_circuit_changes")
                    return await found.fetchall()

                await until(changed, "the change of the circuit")
                assert await changed() == [
                    (ACCOUNT, "open", "5 calls in a row failed, the last with http_503")
                ]
    finally:
        process.stop.set()
        await asyncio.wait({task})
    task.result()
