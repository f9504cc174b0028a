"""Samples as they stand on Kafka."""

import json
from datetime import UTC, datetime

import pytest

from commands.messages import InvalidMessage
from commands.samples import SAMPLES_MAX, Sample, SampleBatch

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SAMPLE = Sample(kind="sale", segment="sale/card/EUR/eea", outcome="failed", error="http_503", at=AT)
BATCH = SampleBatch(gateway="stripe", account="stripe-eu", samples=(SAMPLE,))


def test_a_batch_is_read_as_it_was_written():
    assert SampleBatch.read(BATCH.dump()) == BATCH
    assert BATCH.samples == (SAMPLE,)


def test_a_field_of_a_newer_version_is_ignored():
    newer = json.loads(BATCH.dump()) | {"agent": "gw-7"}

    assert SampleBatch.read(json.dumps(newer).encode()) == BATCH


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", "lost"),
        ("segment", "sale/card/EUR/eea/more"),
        ("error", "4111 1111 1111 1111"),
        ("latency_ms", -1),
        ("at", "2026-11-30T12:00:00"),
    ],
)
def test_what_is_no_sample_is_refused_without_a_word_of_it(field, value):
    broken = json.loads(BATCH.dump())
    broken["samples"][0][field] = value

    with pytest.raises(InvalidMessage) as refused:
        SampleBatch.read(json.dumps(broken).encode())

    assert refused.value.path == f"samples.0.{field}"
    assert str(value) not in str(refused.value)


@pytest.mark.parametrize("count", [0, SAMPLES_MAX + 1])
def test_a_batch_is_neither_empty_nor_endless(count):
    broken = json.loads(BATCH.dump())
    broken["samples"] *= count

    with pytest.raises(InvalidMessage):
        SampleBatch.read(json.dumps(broken).encode())
