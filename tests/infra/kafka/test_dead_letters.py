from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from commands.records import DeadLetter
from infra.kafka import topics
from infra.kafka.dead_letters import NotSent, matching, read, send_again
from infra.kafka.producers import KafkaDeadLetters, producing
from infra.settings import KafkaSettings

pytestmark = pytest.mark.stack

VALUE = b'{"type": "create_payment.v9"}'


@pytest.fixture
def settings(environment) -> KafkaSettings:
    return environment.settings(KafkaSettings, "audit")


@pytest.fixture
async def letter(settings) -> DeadLetter:
    """About a record that stands on the topic of commands."""
    topic = settings.topic_prefix + topics.COMMANDS
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        sent = await producer.send_and_wait(
            topic, VALUE, key=b"some key", headers=[("correlation_id", b"c-1")]
        )
    place = (topic, sent.partition, sent.offset)
    made = DeadLetter(*place, "type_unknown", "type", "no message", sent.timestamp)
    await _write(settings, made)
    return made


async def _write(settings: KafkaSettings, *letters: DeadLetter) -> None:
    async with producing(settings, "test") as producer:
        for one in letters:
            await KafkaDeadLetters(producer, settings).send(one)


async def test_a_letter_is_found_by_the_place_of_its_record(settings, letter):
    letters = await read(settings, last=10)

    assert [one.letter for one in letters] == [letter]
    assert matching(letters, f"{letter.topic}/{letter.partition}/{letter.offset}") == letter
    assert matching(letters, f"{letter.topic}/{letter.partition}/{letter.offset + 1}") is None


async def test_only_the_last_letters_are_read_and_none_is_no_error(settings):
    assert await read(settings, last=10) == []
    many = [DeadLetter("t", 0, number, "c", None, "d", 0) for number in range(5)]
    await _write(settings, *many)

    assert [one.letter.offset for one in await read(settings, last=2)] == [3, 4]


async def test_the_record_that_is_sent_again_is_the_original_with_key_and_headers(settings, letter):
    partition, offset = await send_again(settings, letter)

    place = TopicPartition(letter.topic, partition)
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka) as consumer:
        consumer.assign([place])
        consumer.seek(place, offset)
        record = await consumer.getone()
    assert (record.value, record.key, record.headers) == (VALUE, b"some key", (("correlation_id", b"c-1"),))
    assert (partition, offset) == (letter.partition, letter.offset + 1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"code": "sensitive_data"}, "holds a card number"),
        ({"timestamp_ms": 1795381200000}, "its time differs"),
        ({"topic": "elsewhere"}, "no topic of AegisPay"),
        ({"offset": 10_000}, "no longer has the original"),
    ],
)
async def test_what_is_not_surely_the_original_is_not_sent(settings, letter, wrong, why):
    with pytest.raises(NotSent, match=why):
        await send_again(settings, replace(letter, **wrong))
