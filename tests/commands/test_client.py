"""The producers' client: its wheel in an environment of its own, and what it promises, on real Kafka."""

import asyncio
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from packaging.requirements import Requirement

from commands.client import Client, ClientError, NoAnswer, NotSettled, Refused
from infra import topics
from tests import ports
from tests.place import Place
from tests.system.running import Running, shared

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parent.parent.parent
ORDER = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}


def _environment(folder: Path, wheel: Path) -> Path:
    """Empty but for the wheel and what it declares, with the files that are installed here: no network is needed."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    packages = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", wheel],
        check=True,
    )
    metadata = next(packages.glob("aegispay_client-*.dist-info/METADATA")).read_text()
    declared = re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    for name in _with_all_they_need(declared):
        for file in distribution(name).files or ():
            source = Path(str(file.locate()))
            if source.is_file() and sysconfig.get_path("purelib") in str(source):
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return python


def _with_all_they_need(requirements: list[str]) -> set[str]:
    found: set[str] = set()
    wanted = [Requirement(text) for text in requirements]
    while wanted:
        one = wanted.pop()
        if one.name in found or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(one.name)
        wanted += [Requirement(text) for text in distribution(one.name).requires or ()]
    return found


def _built(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT / "commands"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return next(folder.glob("aegispay_client-*.whl"))


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Of the environment that has the client's wheel."""
    folder = tmp_path_factory.mktemp("client")
    return _environment(folder / "env", _built(folder / "dist"))


@pytest.fixture(scope="module")
def stack(shared_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shared(shared_place, tmp_path_factory.mktemp("stack")) as made:
        yield made


async def test_the_wheel_in_an_empty_environment_pays_with_the_lines_of_its_readme(python, stack, tmp_path):
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "commands" / "README.md").read_text(), re.DOTALL)
    address = f'"{stack.place.kafka}", merchant_id="demo", topic_prefix="{stack.place.prefix}"'
    program = lines.replace('"localhost:9092", merchant_id="shop"', address)
    assert program != lines

    done = await asyncio.to_thread(
        subprocess.run,
        [python, "-I", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split()[1:] == ["CAPTURED"], done.stderr


def test_the_wheel_is_typed_and_brings_nothing_of_the_service(python):
    program = (
        "import importlib.util as u, importlib.resources as r, aegispay_client;"
        "print(r.files(aegispay_client).joinpath('py.typed').is_file(),"
        " [n for n in ('aggregates', 'commands', 'infra', 'psycopg', 'faust') if u.find_spec(n)])"
    )

    said = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "True []"


async def test_what_a_payment_comes_to_is_what_the_client_says(stack):
    charged_before = len(stack.charges())
    async with stack.client() as client:
        captured = await client.pay(idempotency_key="order-1", **ORDER)
        declined = await client.pay(
            idempotency_key="order-2", **ORDER | {"payment_method": "pm_card_visa_chargeDeclined"}
        )
        assert (captured.status, declined.status) == ("CAPTURED", "FAILED")

        # The same key again, twenty times at once and by another client: one payment, the same answer.
        async with stack.client() as other:
            repeats = await asyncio.gather(
                *(one.pay(idempotency_key="order-1", **ORDER) for one in (client, other) * 10)
            )
        assert {(reply.payment_id, reply.status) for reply in repeats} == {(captured.payment_id, "CAPTURED")}
        assert len(stack.charges()) == charged_before + 1

        for key, changed, code, path in (
            ("order-1", {"amount_minor": 1100}, "idempotency_mismatch", "idempotency_key"),
            ("order-3", {"amount_minor": 0}, "amount_not_positive", "amount_minor"),
            ("order-4", {"currency": "XXX"}, "currency_unknown", "currency"),
        ):
            with pytest.raises(Refused) as refused:
                await client.pay(idempotency_key=key, **ORDER | changed)
            assert (refused.value.code, refused.value.path) == (code, path)

        lost = await client.create_payment(
            idempotency_key="order-5", **ORDER | {"payment_method": "pm_sim_lost"}
        )
        with pytest.raises(NotSettled, match="goes on by itself"):
            await client.wait_settled(lost, timeout_s=0.5)
        assert (await client.wait_settled(lost, timeout_s=60)).status == "CAPTURED"


async def test_a_card_number_is_refused_before_it_leaves_the_process(place):
    async with Client(place.kafka, merchant_id="demo", topic_prefix=place.prefix) as client:
        with pytest.raises(Refused, match="sensitive_data at description"):
            await client.create_payment(idempotency_key="order-1", description="4242 4242 4242 4242", **ORDER)

    assert await _commands_sent(place) == []


async def test_without_an_answer_it_says_that_sending_again_is_safe_and_the_command_stands(place):
    async with Client(
        place.kafka, merchant_id="demo", topic_prefix=place.prefix, answer_timeout_s=1
    ) as client:
        with pytest.raises(NoAnswer, match="safe to send it again with the same key"):
            await client.create_payment(
                idempotency_key="order-1", correlation_id="c-1", traceparent="00-1-2-01", **ORDER
            )

    (record,) = await _commands_sent(place)
    assert dict(record.headers) == {"correlation_id": b"c-1", "traceparent": b"00-1-2-01"}
    assert record.key.decode() in record.value.decode()


async def test_closing_the_client_ends_every_wait(place):
    async with Client(place.kafka, merchant_id="demo", topic_prefix=place.prefix) as client:
        waiting = [
            asyncio.create_task(client.create_payment(idempotency_key=f"order-{n}", **ORDER))
            for n in range(3)
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [NoAnswer] * 3
    with pytest.raises(NoAnswer, match="open a new client"):
        await client.create_payment(idempotency_key="order-9", **ORDER)


async def test_a_wrong_prefix_and_an_absent_kafka_are_named_and_nothing_is_sent(place):
    with pytest.raises(ClientError, match="check topic_prefix"):
        async with Client(place.kafka, merchant_id="demo", topic_prefix="nowhere."):
            pass
    (port,) = ports.free(1)
    with pytest.raises(ClientError, match="Nothing was sent"):
        async with Client(f"127.0.0.1:{port}", merchant_id="demo"):
            pass


async def _commands_sent(place) -> list:
    topic = place.prefix + topics.COMMANDS
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=place.kafka, auto_offset_reset="earliest"
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        found = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
    return found
