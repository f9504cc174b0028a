"""What the Kafka client library cannot read, and what stands beside it."""

import re
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from commands.messages import InvalidMessage
from commands.records import Record
from infra.kafka import reader, topics
from tests.support.environment import Environment
from tests.support.until import until
from tests.system.clients.foreign import Librdkafka

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
ENCODED = {0: bytes, GZIP: gzip_encode, SNAPPY: snappy_encode, LZ4: lz4_encode, ZSTD: zstd_encode}
VALUE = b"v" * 50
_HEAD = 61
"""Bytes of a batch before its records, in version 2 of Kafka's format."""


def batch(first: int, codec: int = 0, header: str = "h") -> bytearray:
    """Three records, with such a base offset."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for number in range(3):
        builder.append(
            number, timestamp=1, key=b"k", value=VALUE, headers=[(header if number == 1 else "h", b"")]
        )
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, first)
    return made


def misnamed(codec: int) -> bytearray:
    """The second record of the three has a header whose name is no UTF-8."""
    plain = batch(0, header="zz")
    at = plain.index(b"zz")
    plain[at : at + 2] = b"\xff\xfe"
    records = bytes(plain[_HEAD:])
    made = plain[:_HEAD] + ENCODED[codec](records)
    struct.pack_into(">i", made, 8, len(made) - 12)
    struct.pack_into(">h", made, 21, codec)
    return signed(made)


def signed(made: bytearray) -> bytearray:
    """With the checksum of what it holds."""
    struct.pack_into(">I", made, 17, calc_crc32c(bytes(made[21:])))
    return made


def fetched(*batches: bytes, place: TopicPartition) -> list[SimpleNamespace]:
    records = fetcher.MemoryRecords(b"".join(batches))
    return list(
        fetcher.PartitionRecords(place, records, [], 0, None, None, True, reader.fetcher.READ_COMMITTED)
    )


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_whose_compression_is_broken_is_passed_and_what_follows_is_read(codec):
    broken = batch(3, codec)
    broken[_HEAD:] = b"\x07" * (len(broken) - _HEAD)
    messages = fetched(batch(0), signed(broken), batch(6), place=TopicPartition(f"broken-{codec}", 0))

    assert [message.offset for message in messages] == list(range(9))
    assert [message.value is None for message in messages] == [False] * 3 + [True] * 3 + [False] * 3
    with pytest.raises(InvalidMessage) as refused:
        reader.record_of(messages[3]).content()
    assert refused.value.code == "unreadable"


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_a_header_whose_name_is_no_text_spoils_its_own_record_and_no_other(codec):
    """Kafka takes any bytes as a name; librdkafka and franz-go send them."""
    messages = fetched(misnamed(codec), batch(3), place=TopicPartition("names", 0))

    assert [message.offset for message in messages] == list(range(6))
    assert [message.value for message in messages] == [VALUE, None] + [VALUE] * 4
    assert [message.key for message in messages] == [b"k", None] + [b"k"] * 4
    with pytest.raises(InvalidMessage) as refused:
        reader.record_of(messages[1]).content()
    assert refused.value.code == "unreadable"


@pytest.mark.parametrize(("behind", "true", "lie"), [(0, 2 * 61, 2 * 62), (0, 2 * 61, 0), (3, 2 * 1, 2 * 5)])
def test_a_record_that_lies_about_its_length_or_offset_ends_what_can_be_read_of_its_batch(behind, true, lie):
    broken = misnamed(0)
    second = _HEAD + 61
    assert broken[second + behind] == true
    broken[second + behind] = lie
    messages = fetched(signed(broken), batch(3), place=TopicPartition("lies", 0))

    assert [message.offset for message in messages] == list(range(6))
    assert [message.value for message in messages] == [VALUE, None, None] + [VALUE] * 3


def test_a_wrong_checksum_is_fetched_again_before_the_batch_is_passed():
    broken = batch(3)
    broken[-1] ^= 1
    place = TopicPartition("checksums", 0)

    tries = [
        [message.offset for message in fetched(batch(0), broken, batch(6), place=place)] for _ in range(3)
    ]

    assert tries == [[0, 1, 2], [0, 1, 2], list(range(9))]


@pytest.mark.stack
async def test_a_gap_is_a_loss_only_where_kafka_has_committed_records_in_it(environment: Environment):
    """One partition: two plain records, two aborted ones and their marker, two plain ones."""
    topic = f"{environment.prefix}{topics.DEAD_LETTERS}"
    partition = TopicPartition(topic, 0)
    async with reader.consumer(environment.kafka) as consumer:
        for how, end in (("plain", 2), ("aborted", 5), ("plain", 7)):
            await Librdkafka().send(environment.kafka, topic, "snappy", how, [("k", b"1"), ("k", b"2")])

            async def stands(end: int = end) -> bool:
                return (await consumer.end_offsets([partition]))[partition] == end

            # The marker is written a little after the transaction's end is acknowledged.
            await until(stands, f"{end} offsets")

    assert not await reader.committed_between(environment.kafka, partition, 2, 5)
    assert await reader.committed_between(environment.kafka, partition, 1, 5)
    assert await reader.committed_between(environment.kafka, partition, 2, 6)
    found = [await reader.record_at(environment.kafka, partition, offset) for offset in range(8)]
    # What was aborted, its marker, and what is not written yet are not there.
    assert [None if record is None else record.offset for record in found] == [0, 1, *[None] * 3, 5, 6, None]


@pytest.mark.stack
async def test_the_last_record_of_a_partition_stands_before_what_was_aborted(environment: Environment):
    topic = f"{environment.prefix}{topics.DEAD_LETTERS}"
    partition = TopicPartition(topic, 0)
    assert await reader.last_records(environment.kafka, [partition]) == []
    for how in ("plain", "aborted"):
        await Librdkafka().send(environment.kafka, topic, "snappy", how, [("k", b"1"), ("k", b"2")])
    async with reader.consumer(environment.kafka) as consumer:

        async def marked() -> bool:
            return (await consumer.end_offsets([partition]))[partition] == 5

        await until(marked, "the marker")

    (last,) = await reader.last_records(environment.kafka, [partition])

    assert last.offset == 1


@pytest.mark.stack
async def test_where_the_first_record_is_enough_the_rest_of_its_partition_is_left(environment: Environment):
    topic = f"{environment.prefix}{topics.DEAD_LETTERS}"
    partition = TopicPartition(topic, 0)
    for number in range(3):  # a batch each: one poll gives one record
        await Librdkafka().send(environment.kafka, topic, "snappy", "plain", [("k", b"%d" % number)])

    async with reader.consumer(environment.kafka) as consumer:
        found = [
            record.offset
            async for records in reader.read_between(
                consumer, {partition: 0}, {partition: 3}, records_max=1, first_only=True
            )
            for record in records
        ]

    assert found == [0]


def test_no_consumer_is_made_elsewhere():
    """Where one is, it reads what was aborted. One may: the client's, which stands below infra."""
    root = Path(reader.__file__).parents[2]
    folders = ("aggregates", "commands", "gateways", "relay", "projections", "infra")
    found = {
        file.relative_to(root).as_posix(): file.read_text()
        for folder in folders
        for file in (root / folder).rglob("*.py")
        if re.search(r"AIOKafkaConsumer\(|\(AIOKafkaConsumer\)", file.read_text())
    }

    assert set(found) == {"infra/kafka/reader.py", "commands/connection.py"}
    assert all("isolation_level" in text for text in found.values())


def test_only_what_our_own_client_could_not_read_is_called_unreadable():
    """A producer that sends the header itself gains nothing."""
    headers = {"aegispay-unreadable": b"mine"}

    assert Record("t", 0, 0, b"k", b"{}", headers, 1).content() == b"{}"
    assert Record("t", 0, 0, b"k", None, {}, 1).content() == b""
