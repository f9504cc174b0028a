import pytest

from infra.database import connect
from infra.settings import DatabaseSettings
from tests.commands.desk import Desk


@pytest.fixture
def desk(database):
    with connect(database.settings(DatabaseSettings, "command"), "test") as connection:
        yield Desk(connection)
