import pytest

from infra import topic_admin
from infra.settings import KafkaSettings
from tests.place import Place

pytestmark = pytest.mark.stack


async def test_creating_twice_creates_nothing_the_second_time(place: Place):
    assert await topic_admin.create(place.settings(KafkaSettings, "admin")) == ()
