"""The producers' client: its wheel in an environment of its own, and what it promises, on real Kafka."""

import asyncio
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Awaitable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from uuid import uuid4

import pytest
from packaging.requirements import Requirement

from commands.client import Client, NotSettled, Refused
from commands.reply import Reply
from tests.commands.client_orders import ORDER, refused_by
from tests.support import simulator
from tests.support.environment import Environment
from tests.support.processes import Running, shared
from tests.support.until import until

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parent.parent.parent


def _environment(folder: Path, wheel: Path) -> Path:
    """Empty but for the wheel and what it declares, with the files that are installed here: no network is
    needed."""
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
        if one.name in found or (
            one.marker is not None and not one.marker.evaluate({"duplicate_charge": ""})
        ):
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
def stack(shared_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shared(shared_environment, tmp_path_factory.mktemp("stack")) as made:
        yield made


async def test_the_wheel_in_an_empty_environment_pays_with_the_lines_of_its_readme(python, stack, tmp_path):
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "commands" / "README.md").read_text(), re.DOTALL)
    address = f'"{stack.environment.kafka}", merchant_id="demo", topic_prefix="{stack.environment.prefix}"'
    program = lines.replace('"localhost:9092", merchant_id="demo"', address)
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

    output = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True).stdout

    assert output.strip() == "True []"


async def test_what_a_payment_comes_to_is_what_the_client_says(stack):
    charged_before = len(stack.charges())
    async with stack.client() as client:
        captured = await client.pay(idempotency_key="order-1", **ORDER)
        declined = await client.pay(
            idempotency_key="order-2", **ORDER | {"payment_method": "pm_card_visa_chargeDeclined"}
        )
        assert (captured.status, declined.status) == ("CAPTURED", "FAILED")

        # The same key again, twenty times at once and by another client: one payment, the same reply.
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


async def _code(asking: Awaitable[Reply]) -> str | None:
    """Of the refusal; None where it was accepted."""
    try:
        await asking
    except Refused as refused:
        return refused.code
    return None


async def test_a_capture_and_a_refund_are_accepted_refused_repeated_and_conflicting(stack):
    async with stack.client() as client, stack.client() as other:
        paid = await client.pay(idempotency_key="life-1", capture="manual", **ORDER)
        payment = paid.payment_id
        assert paid.status == "AUTHORIZED"

        too_much = await refused_by(client.capture(payment, idempotency_key="c-0", amount_minor=2000))
        assert too_much.code == "capture_exceeds_authorization"
        assert too_much.amounts["requested_minor"] == 2000
        assert too_much.amounts["capturable_minor"] == 1099

        captured = await client.wait(
            await client.capture(payment, idempotency_key="c-1", amount_minor=1000, final=True)
        )
        assert (captured.operation_state, captured.status) == ("APPROVED", "PARTIALLY_CAPTURED")

        back = await client.capture(payment, idempotency_key="c-1", amount_minor=1000, final=True)
        assert back.operation_id == captured.operation_id
        assert (await client.wait(back)).operation_state == "APPROVED"
        conflict = await refused_by(
            client.capture(payment, idempotency_key="c-1", amount_minor=999, final=True)
        )
        assert (conflict.code, conflict.path) == ("idempotency_mismatch", "idempotency_key")
        assert conflict.detail.startswith("this idempotency key was used before, for a change of this ")
        again = await refused_by(client.capture(payment, idempotency_key="c-0", amount_minor=2000))
        assert (again.code, again.amounts) == (too_much.code, too_much.amounts)

        # By two clients at once: the same command is one refund, another's content is refused.
        refunds = await asyncio.gather(
            *(
                one.refund(payment, idempotency_key="r-1", amount_minor=minor, reason="a shoe")
                for one, minor in ((client, 700), (other, 700), (client, 701), (other, 701))
            ),
            return_exceptions=True,
        )
        mismatches = [one for one in refunds if isinstance(one, Refused)]
        accepted = [one for one in refunds if isinstance(one, Reply)]
        assert [one.code for one in mismatches] == ["idempotency_mismatch"] * 2
        assert len({one.operation_id for one in accepted}) == 1
        assert (await client.wait(accepted[0])).operation_state == "APPROVED"
        over = await refused_by(client.refund(payment, idempotency_key="r-2", amount_minor=700))
        assert over.code == "refund_exceeds_captured"


async def test_a_void_and_a_cancel_are_accepted_refused_repeated_and_conflicting(stack):
    async with stack.client() as client:
        for key, ask, refused in (
            ("life-2", client.void, "nothing_to_void"),
            ("life-3", client.cancel, "already_canceled"),
        ):
            paid = await client.pay(idempotency_key=key, capture="manual", **ORDER)
            payment = paid.payment_id

            ended = await client.wait(await ask(payment, idempotency_key="v-1"))
            assert (ended.operation_state, ended.status) == ("APPROVED", "VOIDED")
            assert (await ask(payment, idempotency_key="v-1")).operation_id == ended.operation_id
            assert (await refused_by(ask(payment, idempotency_key="v-2"))).code == refused
            assert (await refused_by(ask(payment, idempotency_key="v-2"))).code == refused

        # Another kind under the same key is another command.
        captured = await refused_by(client.capture(payment, idempotency_key="v-1"))
        assert captured.code == "nothing_to_capture"


async def test_a_challenge_is_completed_or_ended_and_wait_goes_on_past_requires_action(stack):
    challenged = ORDER | {"payment_method": "pm_card_threeDSecure2Required"}
    async with stack.client() as client:
        paid = await client.pay(idempotency_key="life-4", **challenged)
        assert paid.status == "REQUIRES_ACTION"
        await simulator.challenge(await _action_url(stack, paid.payment_id), "pass")
        done = await client.complete_action(paid.payment_id, idempotency_key="a-1")
        assert (await client.wait(done)).status == "CAPTURED"
        repeated = await client.complete_action(paid.payment_id, idempotency_key="a-1")
        assert (await client.wait(repeated)).status == "CAPTURED"
        other = f"{paid.payment_id.hex}-s9"
        conflict = client.complete_action(paid.payment_id, idempotency_key="a-1", operation_id=other)
        assert (await refused_by(conflict)).code == "idempotency_mismatch"
        nowhere = client.complete_action(paid.payment_id, idempotency_key="a-2", operation_id=other)
        assert (await refused_by(nowhere)).code == "no_action_required"

        ended = await client.pay(idempotency_key="life-5", **challenged)
        cancelled = await client.cancel(ended.payment_id, idempotency_key="x-1")
        assert (await client.wait(cancelled)).status == "VOIDED"


async def _action_url(stack, payment) -> str:
    found: list[tuple] = []

    async def shown() -> bool:
        found[:] = await stack.rows("SELECT action_url FROM payments WHERE payment_id = %s", payment)
        return bool(found and found[0][0])

    await until(shown, "the customer's address is in the read model")
    return found[0][0]


async def test_what_is_in_doubt_is_queried_and_resolved_once(stack):
    async with stack.client() as client:
        settled = await client.pay(idempotency_key="life-6", **ORDER)
        nothing = await refused_by(client.retry_status_query(settled.payment_id, idempotency_key="q-1"))
        again = await refused_by(client.retry_status_query(settled.payment_id, idempotency_key="q-1"))
        assert nothing.code == again.code == "nothing_in_doubt"
        word = {
            "operation_id": f"{settled.payment_id.hex}-s1",
            "decision": "charged",
            "evidence": "their record",
            "who": "Kim",
        }
        early = await refused_by(client.resolve(settled.payment_id, idempotency_key="d-1", **word))
        assert early.code == "not_in_doubt"

        async with simulator.failing(stack):
            paid = await client.create_payment(idempotency_key="life-7", **ORDER)
            payment = paid.payment_id
            word |= {"operation_id": f"{payment.hex}-s1", "decision": "not_charged"}

            keys = iter(range(1000))

            async def looked_up() -> bool:
                return (
                    await _code(client.retry_status_query(payment, idempotency_key=f"q-{next(keys)}")) is None
                )

            async def decided() -> bool:
                return await _code(client.resolve(payment, idempotency_key=f"d-{next(keys)}", **word)) is None

            await until(looked_up, "5 s have passed since the PSP was queried")
            repeated_key = f"q-{next(keys) - 1}"
            repeated = await client.retry_status_query(payment, idempotency_key=repeated_key)
            assert (repeated.result, repeated.status) == ("accepted", "IN_DOUBT")
            about = client.retry_status_query(
                payment, idempotency_key=repeated_key, operation_id=word["operation_id"]
            )
            assert (await refused_by(about)).code == "idempotency_mismatch"
            await until(decided, "the lookup has had its response, and an operator decides")

        last = f"d-{next(keys) - 1}"
        assert (await client.resolve(payment, idempotency_key=last, **word)).status == "FAILED"
        decided_once = """
            SELECT count(*) FROM payment_events WHERE topic = 'payment.resolved.v1' AND originator_id = %s
        """
        assert await stack.rows(decided_once, payment) == [(1,)]
        other = client.resolve(payment, idempotency_key=last, **word | {"decision": "charged"})
        assert (await refused_by(other)).code == "idempotency_mismatch"
        late = client.resolve(payment, idempotency_key="late", **word | {"decision": "charged"})
        assert (await refused_by(late)).code == "not_in_doubt"


async def test_another_merchants_payment_is_one_that_does_not_exist(stack):
    stranger = Client(stack.environment.kafka, merchant_id="stranger", topic_prefix=stack.environment.prefix)
    async with stack.client() as client, stranger:
        paid = await client.pay(idempotency_key="life-8", **ORDER)

        others = await refused_by(stranger.refund(paid.payment_id, idempotency_key="r-1"))
        nobodys = await refused_by(stranger.refund(uuid4(), idempotency_key="r-1"))

    assert (others.code, others.detail) == (nobodys.code, nobodys.detail)
    assert others.code == "payment_not_found"


async def test_a_wait_for_an_end_that_does_not_come_says_how_it_stands(stack):
    async with stack.client() as client:
        slow = ORDER | {"payment_method": "pm_sim_refund_lost"}
        paid = await client.pay(idempotency_key="life-9", **slow)
        refund = await client.refund(paid.payment_id, idempotency_key="r-1")

        with pytest.raises(NotSettled, match="IN_DOUBT"):
            await client.wait(refund, timeout_s=2)
        assert (await client.wait(refund, timeout_s=60)).operation_state == "APPROVED"
