import ast

import pytest

from infra.kafka import topics
from infra.tools.docs import architecture, topic_flow

_MODULE = """
from infra.kafka import reader, topics

class Worker:
    def __init__(self, settings):
        self._topic, self._more = settings.prefix + topics.OUTCOMES, 1

    async def work(self, broker, settings):
        await broker.{call}(self._topic)
        requests = [settings.prefix + topics.requests(gateway) for gateway in settings.gateways]
        reader.consumer(requests, group_id=topics.TIMERS_GROUP)
"""


def test_every_topic_has_a_process_that_writes_it_and_one_that_reads_it():
    declared = {topic.name for topic in topics.declared(1, "")}
    requests = {topics.requests(gateway) for gateway in topics.GATEWAYS}
    rows = [topic_flow.used_by(name) for name in architecture.roles()]

    for used in ({t for one in rows for t in one.writes}, {t for one in rows for t in one.reads}):
        assert used == declared - requests | {topic_flow.REQUESTS}


def test_a_topic_is_followed_through_files_attributes_and_arguments():
    assert topic_flow.used_by("timers").reads == (topics.COMMANDS, topics.DEAD_LETTERS)
    assert topic_flow.REQUESTS in topic_flow.used_by("command").reads  # for their age: workers/request_age.py
    assert topic_flow.used_by("gateway").writes == (topics.OUTCOMES, topics.DEAD_LETTERS, topics.SAMPLES)
    assert topic_flow.used_by("api") == ((topics.REPLIES, topics.HEALTH), (topics.COMMANDS,))


def test_a_topic_counts_as_written_where_it_is_sent_to_and_as_read_where_a_consumer_gets_it():
    assert set(_uses("send_and_wait")) == {("writes", topics.OUTCOMES), ("reads", topic_flow.REQUESTS)}


def test_a_use_that_is_not_known_is_no_use_that_is_left_out():
    with pytest.raises(ValueError, match=f"whisper gets {topics.OUTCOMES}"):
        _uses("whisper")


def _uses(call: str) -> list[tuple[str, str]]:
    module = topic_flow.Module(_MODULE.format(call=call))
    worker = module.defined["Worker"]
    assert isinstance(worker, ast.ClassDef)
    return list(topic_flow.uses(module, worker))
