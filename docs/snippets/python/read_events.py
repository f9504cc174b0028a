"""Prints the events of payments as JSON, one on each line: read_events.py BROKER TOPIC GROUP"""

import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, KafkaException

broker, topic, group = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": broker, "group.id": group, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
while True:
    record = consumer.poll(1.0)
    if record is None:
        continue
    if record.error():
        raise KafkaException(record.error())
    message = KafkaMessage(
        headers=dict(record.headers()),  # the client has a list of pairs
        key=record.key().decode(),
        value=record.value(),
    )
    event = from_binary(message, JSONFormat())
    print(JSONFormat().write(event).decode(), flush=True)
