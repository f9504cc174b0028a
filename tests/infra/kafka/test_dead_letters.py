from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from commands.parsing import MESSAGE_BYTES_MAX
from commands.records import DeadLetter
from infra.kafka import topics
from infra.kafka.dead_letters import NotSent, matching, read, send_again
from infra.kafka.producers import KafkaDeadLetters, producing
from infra.settings import KafkaSettings

pytestmark = pytest.mark.stack

VALUE = b'{"type": "create_payment.v9"}'
CARD = b"4242 4242 4242 4242"


@pytest.fixture
def settings(environment) -> KafkaSettings:
    return environment.settings(KafkaSettings, "audit")


@pytest.fixture
async def letter(settings) -> DeadLetter:
    """About a record that stands on the topic of commands."""
    made = await _stranded(settings, "type_unknown", VALUE)
    await _write(settings, made)
    return made


async def _stranded(
    settings: KafkaSettings,
    code: str,
    value: bytes,
    *,
    topic: str = topics.COMMANDS,
    key: bytes = b"some key",
    correlation_id: bytes = b"c-1",
) -> DeadLetter:
    """Sends the record, and makes the letter that a worker writes about it."""
    name = settings.topic_prefix + topic
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        headers = [("correlation_id", correlation_id)]
        sent = await producer.send_and_wait(name, value, key=key, headers=headers)
    return DeadLetter(name, sent.partition, sent.offset, code, None, "no message", sent.timestamp)


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


@pytest.mark.parametrize(
    ("code", "value", "more"),
    [
        ("message_too_large", b'{"note": "%s", "more": "%s"}' % (CARD, b"x" * MESSAGE_BYTES_MAX), {}),
        ("not_json", b"card: " + CARD, {}),
        ("not_an_object", b'[{"card_number": 4242424242424242}]', {}),
        ("unreadable", b'{"cvc": "123"}', {}),
        ("type_unknown", VALUE, {"key": CARD}),
        ("type_unknown", VALUE, {"correlation_id": CARD}),
    ],
    ids=["too-large", "not-json", "not-an-object", "unreadable-then", "key", "header"],
)
async def test_a_command_with_a_card_number_is_not_sent_again_whatever_its_letter_says(
    settings, code, value, more
):
    """The worker that read it refused each for a fault that it meets before it searches the fields."""
    letter = await _stranded(settings, code, value, **more)

    with pytest.raises(NotSent, match="holds a card number") as refused:
        await send_again(settings, letter)

    assert "4242" not in str(refused.value)
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka) as consumer:
        place = TopicPartition(letter.topic, letter.partition)
        assert (await consumer.end_offsets([place]))[place] == letter.offset + 1


async def test_an_outcome_is_sent_again_as_it_is(settings):
    """A gateway worker wrote it, and a PSP's id may look like a card number: to refuse it would lose it."""
    letter = await _stranded(settings, "not_json", b"4242424242424242", topic=topics.OUTCOMES)

    assert await send_again(settings, letter) == (letter.partition, letter.offset + 1)


async def test_a_command_that_was_too_large_and_holds_no_card_is_sent_again(settings):
    large = b'{"note": "%s"}' % (b"x" * MESSAGE_BYTES_MAX)
    letter = await _stranded(settings, "message_too_large", large)

    assert await send_again(settings, letter) == (letter.partition, letter.offset + 1)
