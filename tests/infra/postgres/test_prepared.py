import psycopg
import pytest

from infra.postgres.prepared import PreparedStatements
from infra.settings import DatabaseSettings
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@pytest.fixture
def environment(database):
    return database


ECHO = {"echo": "SELECT $1::text, NULL", "fail": "SELECT 1 / $1::int"}


@pytest.fixture
async def statements(environment: Environment):
    async with PreparedStatements.open(
        environment.settings(DatabaseSettings, "gateway"), "prepared", ECHO
    ) as opened:
        yield opened


async def test_values_come_back_as_text_and_null_as_none(statements: PreparedStatements):
    assert await statements.run("echo", ["ü".encode()]) == [("ü".encode(), None)]


async def test_values_larger_than_the_sockets_buffer_are_sent_whole(statements: PreparedStatements):
    large = b"x" * 20_000_000

    assert await statements.run("echo", [large]) == [(large, None)]


async def test_a_failed_statement_raises_its_error_and_the_next_one_works(statements: PreparedStatements):
    with pytest.raises(psycopg.errors.DivisionByZero):
        await statements.run("fail", [b"0"])

    assert await statements.run("echo", [b"1"]) == [(b"1", None)]


async def test_a_connection_lost_while_idle_is_an_error_of_the_next_statement(
    environment: Environment, statements: PreparedStatements
):
    with psycopg.connect(environment.dsn(), autocommit=True) as conn:
        find = "FROM pg_stat_activity WHERE application_name = 'aegispay-prepared'"
        conn.execute(f"SELECT pg_terminate_backend(pid) {find}")
        await until(lambda: conn.execute(f"SELECT count(*) {find}").fetchone() == (0,))

    with pytest.raises(psycopg.OperationalError):
        await statements.run("echo", [b"1"])
