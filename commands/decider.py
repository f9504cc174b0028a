"""Turns a batch of records into one transaction's writes. Invariant: a payment's records are decided in the
order read, outcomes before commands.

A stream that cannot be read or decided is parked: its records queue behind it, and all other payments go on.

A batch is loaded first and decided then. In between the caller may consult the hooks about the creates of new
payments; their verdicts are an input of the decision.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from eventsourcing.domain import EventSourcingError

from aggregates.hooks import Verdict
from commands import budgets
from commands.handlers import Context, Message, check, handle, require_known_gateways
from commands.messages import CreatePayment, InvalidMessage, MerchantCommand, RetryParked, dump
from commands.parsing import parse_command, parse_outcome
from commands.ports import Accounts, Card, Fingerprints, Loaded, Parking, Store, Timer, Writes
from commands.records import DeadLetter, Record
from commands.replies import refused
from commands.reply import Reply
from commands.webhook_samples import AccountSample, sample_after, state_before

# Errors that a broken stream or a bug of ours raises in a decision. Any other error is the infrastructure's
# and ends the process.
UNDECIDABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    EventSourcingError,
)


@dataclass(frozen=True, slots=True)
class Work:
    """A message to decide, with the record that it came in."""

    record: Record
    message: Message

    @property
    def payment_id(self) -> UUID:
        """The payment that the message is about."""
        return self.message.payment_id


def by_payment(works: Sequence[Work]) -> dict[UUID, list[Work]]:
    """Returns the messages by payment, each payment's in their order."""
    groups: dict[UUID, list[Work]] = {}
    for work in works:
        groups.setdefault(work.payment_id, []).append(work)
    return groups


@dataclass(slots=True)
class Stream:
    """A payment's stream as loaded, and the messages to decide on it. `waiting`: those that queued while it
    was parked, if an operator retries it."""

    payment_id: UUID
    works: list[Work]
    loaded: Loaded
    waiting: list[Work] = field(default_factory=list)


Verdicts = Mapping[UUID, Sequence[Verdict]]
"""What the hooks decided, by the id of the create that they were consulted about."""


@dataclass(slots=True)
class Result:
    """The writes of a batch, and the replies, dead letters and samples that are sent once the writes are
    committed."""

    writes: Writes = field(default_factory=Writes)
    replies: list[Reply] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    samples: list[AccountSample] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        """Appends another's result: that of other payments."""
        self.writes.add(other.writes)
        self.replies += other.replies
        self.letters += other.letters
        self.samples += other.samples


class Decider:
    """Decides batches. `outcomes_topic`: records of this topic are reports, all others are commands.
    `fingerprints`: of cards; None: no limits on retries are kept."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        outcomes_topic: str,
        clock: Callable[[], datetime],
        chance: random.Random,
        *,
        fingerprints: Fingerprints | None = None,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._outcomes_topic = outcomes_topic
        self._clock = clock
        self._chance = chance
        self._fingerprints = fingerprints

    def read(self, records: Sequence[Record]) -> tuple[list[Work], Result]:
        """Parses the records. Returns the valid messages, outcomes first, and the replies and dead letters of
        the rest."""
        works: list[Work] = []
        unusable = Result()
        # Outcomes come first: with the approval taken, the capture behind it is decided instead of refused.
        # sorted() is stable, so within a topic each partition keeps its order.
        for record in sorted(records, key=lambda record: record.topic != self._outcomes_topic):
            try:
                works.append(self._work(record))
            except InvalidMessage as invalid:
                _refuse(unusable, record, invalid, None)
        return works, unusable

    def load(self, works: Sequence[Work]) -> list[Stream]:
        """Loads the streams that the messages are about."""
        groups = by_payment(works)
        # A repeat of one of these may have a refusal in the store. A create is compared with the payment's
        # fingerprint.
        commands = [work.message.command_id for work in works if isinstance(work.message, MerchantCommand)]
        cards = {} if self._fingerprints is None else budgets.cards_of(works, self._fingerprints)
        loaded = self._store.load(groups.keys(), commands, cards)
        streams = [self._stream(id_, group, loaded[id_]) for id_, group in groups.items()]
        self._load_declines(streams)
        return streams

    def _load_declines(self, streams: Sequence[Stream]) -> None:
        """Adds the declines of the cards that may be tried again: their tokens are in the streams, so this
        is a statement of its own, which few batches need."""
        if self._fingerprints is None:
            return
        cards: dict[UUID, Card] = {}
        for stream in streams:
            payment = stream.loaded.payment
            if payment is None:
                cards |= budgets.cards_of(stream.waiting, self._fingerprints)
            elif any(budgets.may_lead_to_an_attempt(work.message, payment) for work in stream.works):
                cards[stream.payment_id] = budgets.card_of(payment, self._fingerprints)
        declined = self._store.declined(cards) if cards else {}
        for stream in streams:
            if stream.payment_id in declined:
                stream.loaded = replace(stream.loaded, declined=tuple(declined[stream.payment_id]))

    def new_payments(self, streams: Sequence[Stream]) -> list[CreatePayment]:
        """Returns the create that will make the payment of each stream that does not exist yet."""
        found = []
        for stream in streams:
            if stream.loaded.payment is not None or stream.loaded.broken is not None:
                continue
            if stream.loaded.parked and not stream.waiting:
                continue
            messages = [work.message for work in stream.waiting + stream.works]
            creates = (one for one in messages if isinstance(one, CreatePayment) and self._has_psp(one))
            if (first := next(creates, None)) is not None:
                found.append(first)
        return found

    def decide(self, streams: Sequence[Stream], verdicts: Verdicts | None = None) -> Result:
        """Decides the messages; saves nothing. `verdicts`: of the hooks, on each of `new_payments`; None: no
        hooks are installed."""
        result = Result()
        for stream in streams:
            result.add(self._decide_stream(stream, verdicts))
        return result

    def _has_psp(self, create: CreatePayment) -> bool:
        """False for a create that is refused without a payment."""
        try:
            require_known_gateways(create, self._accounts)
        except InvalidMessage:
            return False
        return True

    def _stream(self, payment_id: UUID, works: list[Work], loaded: Loaded) -> Stream:
        stream = Stream(payment_id, works, loaded)
        retried = any(isinstance(work.message, RetryParked) for work in works)
        if loaded.parked and retried and loaded.broken is None:
            try:
                # Records that waited come before those just read: the payment's order is that of the topics.
                stream.waiting = [self._work(record) for record in self._store.queue_of(payment_id)]
            except UNDECIDABLE as error:
                stream.loaded = replace(loaded, broken=_reason(error))
            else:
                if stream.waiting:
                    stream.loaded = self._with_refusals(payment_id, loaded, stream.waiting)
        return stream

    def _work(self, record: Record) -> Work:
        raw = record.content()
        message: Message = parse_outcome(raw) if record.topic == self._outcomes_topic else parse_command(raw)
        # A record under another key may have come to another worker than the one that decides this payment.
        if record.key != str(message.payment_id).encode():
            detail = _key_at_fault(record.key, message.payment_id)
            raise InvalidMessage("payment_not_found", "payment_id", detail, message.command_id)
        check(message)
        return Work(record, message)

    def _decide_stream(self, stream: Stream, verdicts: Verdicts | None) -> Result:
        payment_id, works, loaded = stream.payment_id, stream.works, stream.loaded
        # A parked stream is tried again at an operator's command alone, once a release can decide it: until
        # then each record would fail as the one before it.
        retries = [work for work in works if isinstance(work.message, RetryParked)]
        if loaded.parked and not retries:
            return _queued(payment_id, works)
        reason = loaded.broken
        if reason is None:
            try:
                result = self._decide_in_order(stream.waiting + works, loaded, verdicts)
            except UNDECIDABLE as error:
                reason = _reason(error)
            else:
                if loaded.parked:
                    # The count is of what was read: the statement leaves the stream parked where another
                    # record has queued since.
                    result.writes.unparked.append((payment_id, len(stream.waiting)))
                return result
        return self._parked(payment_id, works, reason, already=loaded.parked)

    def _with_refusals(self, payment_id: UUID, loaded: Loaded, works: Sequence[Work]) -> Loaded:
        """Adds the refusals of the queued commands: one refused before its stream was parked keeps its
        decision."""
        ids = [work.message.command_id for work in works]
        return replace(
            loaded,
            refusals={**self._store.load([payment_id], ids)[payment_id].refusals, **loaded.refusals},
        )

    def _decide_in_order(self, works: Sequence[Work], loaded: Loaded, verdicts: Verdicts | None) -> Result:
        result = Result()
        writes = result.writes
        payment = loaded.payment
        refusals = dict(loaded.refusals)
        timer: Timer | None = None
        declined = None if self._fingerprints is None else list(loaded.declined)
        for work in works:
            context = Context(
                # The clock is read once for each message: all that one decision compares with the time is of
                # one moment.
                now=self._clock(),
                jitter=self._chance.random(),
                correlation_id=work.record.header("correlation_id"),
                traceparent=work.record.traceparent,
                accounts=self._accounts,
                refusals=refusals,
                declined=declined,
                verdicts=_verdicts_on(work.message, verdicts),
            )
            before = 0 if payment is None else len(payment.pending_events)
            state = state_before(work.message, payment)
            try:
                decided = handle(work.message, payment, context)
            except InvalidMessage as invalid:
                _refuse(result, work.record, invalid, None)
                continue
            payment = decided.payment
            if (sample := sample_after(work.message, state, payment)) is not None:
                result.samples.append(sample)
            if declined is not None and self._fingerprints is not None:
                # A later message of this batch is decided with it, before anything is saved.
                new = budgets.declines(payment, payment.pending_events[before:])
                declined += new
                writes.declines += budgets.rows(payment, new, self._fingerprints) if new else []
            timer = decided.timer or timer
            if decided.refusal is not None:
                # A repeat may stand in the same batch, before anything of it is saved.
                refusals[decided.refusal.command_id] = decided.refusal
                writes.refusals.append(decided.refusal)
            writes.gateway_ids += decided.gateway_ids
            result.replies += decided.replies
        # Once for all messages about the payment: all its events, and the timer as the last of them left it.
        if payment is not None and payment.pending_events:
            writes.payments.append(payment)
        if timer is not None:
            writes.timers.append(timer)
        return result

    def _parked(self, payment_id: UUID, works: list[Work], reason: str, *, already: bool) -> Result:
        # The queue and the parking are written in one transaction, and the offsets are committed after it:
        # whatever is killed in between, each record is in Kafka, in the queue, or both, and its place is
        # unique in the queue.
        result = _queued(payment_id, [work for work in works if not isinstance(work.message, RetryParked)])
        if not already:
            result.writes.parked.append(Parking(payment_id, reason))
        for work in works:
            if isinstance(work.message, RetryParked):
                refusal = InvalidMessage(
                    "still_parked", None, f"it fails as before: {reason}", work.message.command_id
                )
                reply = refused(refusal, payment_id, work.record.header("correlation_id"))
                assert reply is not None
                result.replies.append(reply)
        return result


def _queued(payment_id: UUID, works: Sequence[Work]) -> Result:
    # Parks the parsed message, not the bytes sent: if a JSON name is repeated, the producer's bytes hold more
    # than was searched for card data.
    records = [replace(work.record, value=dump(work.message)) for work in works]
    return Result(Writes(queued=[(payment_id, record) for record in records]))


def _refuse(result: Result, record: Record, invalid: InvalidMessage, payment_id: UUID | None) -> None:
    result.letters.append(DeadLetter.of(record, invalid))
    if (reply := refused(invalid, payment_id, record.header("correlation_id"))) is not None:
        result.replies.append(reply)


def _key_at_fault(key: bytes | None, payment_id: UUID) -> str:
    """Says what is wrong with a record's key that is not the payment's id as text."""
    try:
        another_spelling = key is not None and UUID(key.decode()) == payment_id
    except ValueError:
        another_spelling = False
    # Kafka's partitioner hashed the key's bytes: this record may lie in another partition than the payment's.
    if another_spelling:
        return "the record's key spells the payment's id in another way: write the UUID in lower case, with its hyphens"
    return "the record's key is not the payment's id: send payment_id as text for the key"


def _verdicts_on(message: Message, verdicts: Verdicts | None) -> Sequence[Verdict] | None:
    if verdicts is None or not isinstance(message, CreatePayment):
        return ()
    return verdicts.get(message.command_id)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__} at {_innermost(error)}"


def _innermost(error: BaseException) -> str:
    """Returns the function and line that raised, never the error's text, which may hold what must not be
    kept."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
