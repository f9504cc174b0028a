"""What the servers of the local stack promise, checked at the running ones."""

import os
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.support.environment import Servers

_OTHERS = "AEGISPAY_TEST_KAFKA" in os.environ or os.environ.get("AEGISPAY_TEST_CONTAINERS") == "1"

pytestmark = [pytest.mark.stack, pytest.mark.skipif(_OTHERS, reason="not the local stack's servers")]


def test_postgresql_refuses_a_wrong_password(servers: Servers):
    wrong = psycopg.conninfo.make_conninfo(servers.dsn(), password="wrong")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_both_servers_are_bound_to_loopback(servers: Servers):
    ports = {int(servers.kafka.rpartition(":")[2]), psycopg.conninfo.conninfo_to_dict(servers.dsn())["port"]}
    listening = [
        one.laddr.ip
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port in {int(port or 0) for port in ports}
    ]

    assert listening
    assert all(address.removeprefix("::ffff:") == "127.0.0.1" for address in listening)


async def test_kafka_makes_no_topic_that_nobody_created(servers: Servers):
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka, request_timeout_ms=1500)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("nobody.created.this", b"x")
    finally:
        await producer.stop()


def test_no_password_is_on_a_command_line(servers: Servers):
    password = psycopg.conninfo.conninfo_to_dict(servers.dsn())["password"]
    assert password

    lines = [Path(f"/proc/{pid}/cmdline") for pid in psutil.pids()]

    assert not any(str(password).encode() in line.read_bytes() for line in lines if line.exists())
