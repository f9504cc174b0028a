"""Which waits a reply ends, without Kafka: the consumer is a queue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from commands.ids import fingerprint
from commands.messages import RefundPayment, dump
from commands.reply import Reply
from commands.reply_stream import PendingReply, Receiver, ReplyListener

REFUND = RefundPayment(command_id=uuid4(), payment_id=uuid4(), merchant_id="demo", amount_minor=700)
CREATE = uuid4()
"""The command that made the payment: an update of its status names it."""


def decision(**other) -> Reply:
    fields = {"kind": "decision", "command_id": REFUND.command_id, "payment_id": REFUND.payment_id}
    return Reply(**fields | {"result": "accepted", "fingerprint": fingerprint(REFUND)} | other)


def update(**other) -> Reply:
    return decision(**{"kind": "update", "command_id": CREATE, "fingerprint": None} | other)


class Queue:
    """Two partitions with seven records each, and the records that come after them."""

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.values_read = 0
        self._records: asyncio.Queue[Record] = asyncio.Queue()
        self._handed_out = 0

    def assignment(self):
        return {"replies/0", "replies/1"}

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, 7)

    def seek(self, partition, offset):
        self.positions[partition] = offset

    async def getmany(self, *, timeout_ms):
        """Marks the records before these as done with: that is when the listener asks for more."""
        for _ in range(self._handed_out):
            self._records.task_done()
        found = [await self._records.get()]
        while not self._records.empty():
            found.append(self._records.get_nowait())
        self._handed_out = len(found)
        return {"replies/0": found}

    async def send(self, *replies: Reply | bytes | None) -> None:
        """Returns when the listener is done with them."""
        for reply in replies:
            self._records.put_nowait(Record(self, dump(reply) if isinstance(reply, Reply) else reply))
        await self._records.join()


@dataclass
class Record:
    queue: Queue
    raw: bytes | None

    @property
    def value(self) -> bytes | None:
        self.queue.values_read += 1
        return self.raw


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
async def listener(queue) -> AsyncIterator[ReplyListener]:
    made = ReplyListener(queue)
    await made.start()
    receiving = asyncio.create_task(made.receive())
    yield made
    receiving.cancel()
    await asyncio.wait({receiving})


async def test_it_starts_at_the_end_of_every_partition(queue):
    await ReplyListener(queue).start()

    assert queue.positions == {"replies/0": 7, "replies/1": 7}


async def test_the_reply_to_the_command_ends_the_wait_and_anothers_does_not(queue, listener):
    with listener.expect(REFUND) as pending:
        await queue.send(decision(command_id=uuid4()), decision(fingerprint="of other content"))
        assert not pending.decision.done()

        await queue.send(decision(code="first"), decision(code="again"))

    assert pending.decision.result() == decision(code="first")


async def test_a_refusal_that_names_neither_payment_nor_content_is_a_reply(queue, listener):
    """The command worker had no stream to decide on."""
    refused = decision(result="refused", code="payment_not_found", payment_id=None, fingerprint=None)

    with listener.expect(REFUND) as pending:
        await queue.send(refused)

    assert pending.decision.result() == refused


async def test_two_who_wait_for_one_command_both_have_its_reply(queue, listener):
    with listener.expect(REFUND) as one, listener.expect(REFUND) as other:
        await queue.send(decision())

    assert one.decision.result() == other.decision.result() == decision()


async def test_an_update_before_the_reply_counts_and_the_newest_one_is_returned(queue, listener):
    with listener.expect(REFUND) as pending:
        await queue.send(update(status="CAPTURED"), update(status="REFUNDED"), decision())
        await queue.send(update(payment_id=uuid4(), status="FAILED"))

        assert await pending.until(lambda reply: reply.status is not None) == update(status="REFUNDED")


async def test_a_wait_goes_on_until_an_update_says_that_it_ended(queue, listener):
    with listener.expect(REFUND) as pending:
        waiting = asyncio.create_task(pending.until(lambda reply: reply.operation_state == "APPROVED"))
        await queue.send(decision(), update(operation_state="STARTED"))
        assert not waiting.done()

        await queue.send(update(operation_state="APPROVED"))

        found = await waiting
        assert found is not None
        assert found.operation_state == "APPROVED"


async def test_no_record_is_looked_at_while_nobody_waits(queue, listener):
    await queue.send(decision())
    with listener.expect(REFUND):
        pass
    await queue.send(decision())

    assert queue.values_read == 0


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"no JSON",
        b"[]",
        b"7",
        b"{}",
        b'{"command_id": [], "payment_id": null}',
        dump(decision()).replace(b"reply.v1", b"reply.v9"),
    ],
)
async def test_what_is_no_reply_of_this_version_is_passed_over(queue, listener, raw):
    with listener.expect(REFUND) as pending:
        await queue.send(raw, decision())

    assert pending.decision.result() == decision()


async def test_a_receiver_has_each_reply_once_and_none_after_it_is_removed(queue, listener):
    class Count(Receiver):
        replies = 0

        def receive(self, reply: Reply) -> None:
            self.replies += 1

    count = Count()
    ids = (str(REFUND.command_id), str(REFUND.payment_id))
    for id_ in ids:
        listener.add(id_, count)
    await queue.send(decision())
    assert count.replies == 1

    for id_ in ids:
        listener.remove(id_, count)
    await queue.send(decision())
    assert count.replies == 1


async def test_stopping_ends_every_wait_with_none_now_and_later(listener):
    with listener.expect(REFUND) as pending:
        waiting = asyncio.create_task(pending.until(lambda _: False))
        await asyncio.sleep(0)

        listener.stop_waiting()

        assert (await pending.decision, await waiting) == (None, None)
    with listener.expect(REFUND) as late:
        assert await late.decision is None


async def test_nobody_waits_on_once_the_replies_cannot_be_read(queue):
    class Broken(Queue):
        async def getmany(self, *, timeout_ms):
            raise ConnectionError

    listener = ReplyListener(Broken())
    with listener.expect(REFUND) as pending:
        with pytest.raises(ConnectionError):
            await listener.receive()

        assert await pending.decision is None


async def test_a_wait_that_was_given_up_does_not_hinder_the_next_reply():
    pending = PendingReply(REFUND)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await pending.decision

    pending.receive(decision())

    assert await pending.until(lambda reply: reply.kind == "decision") == decision()
