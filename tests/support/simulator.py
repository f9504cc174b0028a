"""Acts at a simulated PSP: switches its faults, and passes challenges as the customer at the bank's page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import aiohttp
from aiokafka import AIOKafkaProducer

from commands.messages import AnyReport, Dispute, Outcome, RecordDispute, RecordOutcome, dump
from infra.kafka import topics
from tests.support.movements import minor
from tests.support.processes import Running
from tests.support.until import until


@asynccontextmanager
async def _switched(stack: Running, inside: dict[str, Any], after: dict[str, Any]) -> AsyncIterator[None]:
    url = f"http://127.0.0.1:{stack.simulator_port}/_simulator"
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        try:
            await http.post(url, json=inside)
            yield
        finally:
            await http.post(url, json=after)


@asynccontextmanager
async def failing(stack: Running) -> AsyncIterator[None]:
    """It responds to every call with 503."""
    inside, after = {"down_s": 120, "down": "failing"}, {"down_s": 0.001, "down": "failing"}
    async with _switched(stack, inside, after):
        yield


@asynccontextmanager
async def faulty(stack: Running, *faults: dict[str, Any]) -> AsyncIterator[None]:
    async with _switched(stack, {"faults": faults}, {"faults": []}):
        yield


async def tells(stack: Running, payment: UUID, operation_id: str, source: Any, **outcome: Any) -> None:
    """A report of our own making, as if it came from the PSP."""
    message = RecordOutcome(
        command_id=uuid4(),
        payment_id=payment,
        operation_id=operation_id,
        step="1",
        gateway="stripe",
        account="sim-eu",
        outcome=Outcome(**outcome),
        source=source,
        tries=1,
        first_try_at=None,
        observed_at=datetime.now(UTC),
    )
    await _publish(stack, message)


async def disputes(stack: Running, payment: UUID, **dispute: Any) -> None:
    """As if a webhook had reported it of its sale."""
    message = RecordDispute(
        command_id=uuid4(),
        payment_id=payment,
        operation_id=f"{payment.hex}-s1",
        dispute=Dispute(**dispute),
        observed_at=datetime.now(UTC),
    )
    await _publish(stack, message)


async def _publish(stack: Running, message: AnyReport) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.environment.kafka)
    await producer.start()
    try:
        topic = stack.environment.prefix + topics.OUTCOMES
        await producer.send_and_wait(topic, dump(message), key=str(message.payment_id).encode())
    finally:
        await producer.stop()


async def charged(stack: Running, payment: UUID) -> None:
    await until(lambda: len(stack.charges(payment)) == 1, "the charge")


async def webhook_of_the_charge(stack: Running, payment: UUID) -> None:
    """That its first sale succeeded, as the ledger has it."""
    (charge,) = stack.charges(payment)
    outcome = {"psp_id": charge.intent_id, "amount_minor": minor(charge), "currency": charge.currency}
    await tells(stack, payment, charge.reference, "webhook", kind="APPROVED", **outcome)


async def challenge(action_url: str, result: Literal["pass", "fail"]) -> str | None:
    """The customer presses a button at the bank. Where the PSP sends it then, if anywhere."""
    async with (
        aiohttp.ClientSession() as bank,
        bank.post(action_url, data={"result": result}, allow_redirects=False) as response,
    ):
        assert response.status in {200, 303}, await response.text()
        return response.headers.get("Location")
