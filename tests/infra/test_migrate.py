"""The migrations, on a real PostgreSQL."""

import pytest

from infra import migrate
from infra.settings import DatabaseSettings
from tests.place import Place

pytestmark = pytest.mark.stack


def test_migrating_twice_applies_nothing_the_second_time(place: Place):
    applied = migrate.migrate(place.settings(DatabaseSettings, "admin"), {})

    assert applied == ()
