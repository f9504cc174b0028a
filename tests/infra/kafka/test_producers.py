"""Ages by the broker's clock: this machine's own may be wrong by hours."""

import pytest

from infra.kafka.producers import BrokerClock, producing
from infra.kafka.topics import COMMANDS
from infra.process import clock
from infra.settings import KafkaSettings
from tests.support.environment import Environment

HOUR_MS = 3_600_000


@pytest.fixture(params=["7200", "-7200"])
def wrong_clock(request: pytest.FixtureRequest):
    clock.set_offset(request.param)
    yield
    clock.set_offset("")


def test_an_age_is_the_difference_of_two_stamps_of_the_broker(wrong_clock):
    ages = BrokerClock()
    assert ages.age_s(HOUR_MS) is None

    ages.stamped(10 * HOUR_MS)
    ages.stamped(9 * HOUR_MS)  # an older record that is read later tells nothing new

    assert ages.age_s(9 * HOUR_MS) == pytest.approx(3600, abs=60)
    assert ages.age_s(11 * HOUR_MS) == 0


@pytest.mark.stack
async def test_the_broker_takes_and_stamps_a_record_of_a_process_whose_clock_is_two_hours_wrong(
    environment: Environment, wrong_clock
):
    """With the producer's own stamp Kafka 4 refuses what is more than an hour ahead (error 32)."""
    ages = BrokerClock()
    async with producing(environment.settings(KafkaSettings, "command"), "test") as producer:
        first = await producer.send_and_wait(environment.prefix + COMMANDS, b"1", partition=0)
        second = await producer.send_and_wait(environment.prefix + COMMANDS, b"2", partition=0)

    ages.stamped(second.timestamp)
    age_s = ages.age_s(first.timestamp)
    assert age_s is not None
    assert age_s < 600
    assert abs(first.timestamp / 1000 - clock.now().timestamp()) > 6000
