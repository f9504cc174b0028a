"""The way of samples to Kafka: nobody waits for one."""

import asyncio

import pytest
from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from commands.samples import SAMPLES_MAX, Sample, SampleBatch
from infra.kafka import reader, topics
from infra.kafka.producers import producing
from infra.kafka.samples import KafkaSamples
from infra.process import clock
from infra.settings import KafkaSettings
from tests.support.environment import Environment
from tests.support.until import until


def sample(outcome: str = "approved") -> Sample:
    return Sample.model_validate({"kind": "sale", "outcome": outcome, "at": clock.now()})


def dropped(gateway: str) -> float:
    return REGISTRY.get_sample_value("aegispay_samples_dropped_total", {"gateway": gateway}) or 0.0


async def batches(environment: Environment) -> list[SampleBatch]:
    topic = environment.prefix + topics.SAMPLES
    places = [TopicPartition(topic, number) for number in range(topics.SAMPLES_PARTITIONS)]
    async with reader.consumer(environment.kafka) as consumer:
        ends = await consumer.end_offsets(places)
        return [
            SampleBatch.read(record.value)
            async for records in reader.read_between(consumer, dict.fromkeys(places, 0), ends)
            for record in records
        ]


@pytest.mark.stack
async def test_samples_go_by_account_and_in_small_batches(environment: Environment):
    settings = environment.settings(KafkaSettings, "admin")
    async with producing(settings, "test") as producer:
        samples = KafkaSamples(producer, settings, "till")
        for _ in range(SAMPLES_MAX + 1):
            samples.add("till-eu", sample())
        samples.add("till-us", sample("declined"))
        assert await samples.run_once() == SAMPLES_MAX + 2
        assert await samples.run_once() == 0

    found = await batches(environment)
    assert sorted((one.account, len(one.samples)) for one in found) == [
        ("till-eu", 1),
        ("till-eu", SAMPLES_MAX),
        ("till-us", 1),
    ]
    assert {one.gateway for one in found} == {"till"}


@pytest.mark.stack
async def test_a_failure_waits_for_no_batch_and_takes_along_what_waits(environment: Environment):
    settings = environment.settings(KafkaSettings, "admin")
    async with producing(settings, "test") as producer:
        samples = KafkaSamples(producer, settings, "till", batch_within_s=600)
        running = asyncio.create_task(samples.run())
        samples.add("till-eu", sample())
        samples.add("till-eu", sample("failed"))
        await until(lambda: batches(environment), "the batch")
        running.cancel()
        await asyncio.wait({running})

    (batch,) = await batches(environment)
    assert [one.outcome for one in batch.samples] == ["approved", "failed"]


@pytest.mark.stack
async def test_what_finds_no_room_or_no_broker_is_dropped_and_counted(environment: Environment):
    settings = environment.settings(KafkaSettings, "admin")
    before = dropped("full")
    async with producing(settings, "test") as producer:
        samples = KafkaSamples(producer, settings, "full", waiting_max=3)
        for _ in range(5):
            samples.add("till-eu", sample())
        assert dropped("full") - before == 2
    assert await samples.run_once() == 0, "the producer is gone: they are lost, and the caller goes on"
    assert dropped("full") - before == 5

    samples.add("till-eu", sample())
    assert dropped("full") - before == 5, "there is room again"
