import pytest

from infra.postgres.connections import connect
from infra.settings import DatabaseSettings
from tests.support.decider_harness import DeciderHarness


@pytest.fixture
def harness(database):
    with connect(database.settings(DatabaseSettings, "command"), "test") as connection:
        yield DeciderHarness(connection)
