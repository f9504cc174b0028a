"""Turns what PSPs sent by webhook into reports on `gateways.outcomes`.

Invariant: a row is marked as done only after the broker has its report. A report that is sent again changes
nothing. A webhook that names no payment of ours is tried again for three days. Then an operator has to look
at it if it carries a reference of ours; another system on the same account sends none.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from aiokafka import AIOKafkaProducer
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from pydantic import ValidationError

from aggregates.operation import FIRST_STEP
from commands import notices
from commands.messages import AnyReport, RecordDispute, RecordOutcome, dump
from commands.notices import Notice
from commands.sql import statements
from relay.matching import Missing, ReceivedNotice, Subject, subjects
from relay.ports import Log, WebhookConfirmation

TRIED_FOR_S: Final = 3 * 24 * 3600
"""Seconds for which a webhook that matches nothing is tried, from when it was received."""
TRY_AFTER_S: Final = (1, 5, 30, 120, 600, 3600)
"""The pauses between the tries; the last one again and again."""
CONFIRMED_BATCH: Final = 50
"""The most webhooks of one look that are confirmed at the PSP, at once as far as the account's `calls_max`
allows. Where the PSP is slow this may take longer than the lease. Another inbox may then confirm the same
rows and report them too: its reports have the same command ids and change nothing, `mark` leaves what is done
as it is, and a row that waits is tried again. Only the counters count them twice."""
_AGAIN_AFTER_S: Final = 24 * 3600
"""The interval after an operator was called, who may have closed it: its payment may still turn up, by the id
of one in doubt, say."""
_COMMANDS: Final = UUID("6d3f5b0e-94c2-4c0f-8f0b-0d5a3c6f4f1e")
# A row is this inbox's for so long. The broker may take less for its report (`_BROKER_MAX_S`), or two inboxes
# would report each row that a slow broker holds.
_LEASE_S: Final = 30
# One look takes so many rows; of a loop that confirms, CONFIRMED_BATCH.
_BATCH: Final = 200
_BROKER_MAX_S: Final = 10.0

Reason = Missing | Literal["not_valid", "not_confirmed"]
"""The reason why no report was made of a webhook: column `reason` of webhooks_in."""

MATCHED = Counter("aegispay_inbox_matched", "Webhooks whose report the broker has acknowledged", ["gateway"])
UNMATCHED = Counter(
    "aegispay_inbox_unmatched",
    "Webhooks that need an operator: no command was made of them",
    ["account", "reason"],
)
FOREIGN = Counter(
    "aegispay_inbox_foreign",
    "Webhooks without a reference of ours, about what we do not know: another system's on the same account",
    ["account"],
)
SECONDS = Histogram(
    "aegispay_inbox_seconds",
    "From a webhook's storing to the broker's acknowledgement of its report",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30, 600, 86400),
)

_SQL: Final = statements(__file__)
_TAKE: Final = _SQL["take"]
_MARK: Final = _SQL["mark"]


@dataclass(frozen=True, slots=True)
class _Mark:
    id: int
    state: Literal["waiting", "done", "unmatched"]
    reason: Reason | None = None
    payment_id: UUID | None = None
    tries: int = 0
    wait_s: int | None = None  # None: it is not tried again by itself


@dataclass(frozen=True, slots=True)
class _Decided:
    """The decision on a row. `notice`: the notice, as the PSP shows it where it confirms them; None: it
    cannot be read."""

    mark: _Mark
    reports: Sequence[AnyReport] = ()
    notice: Notice | None = None


class Inbox:
    """A loop over webhooks_in: that of one PSP whose webhooks have to be confirmed, which may be slow, or
    that of all other PSPs, whose signatures prove them."""

    def __init__(
        self,
        connection: AsyncConnection,
        producer: AIOKafkaProducer,
        outcomes_topic: str,
        log: Log,
        *,
        count: Callable[[str, Notice], None],
        now: Callable[[], datetime],
        confirmed_gateways: Collection[str],
        confirmation: WebhookConfirmation | None = None,
    ) -> None:
        """`count` is given the gateway and each notice that is decided about for the first time.
        `confirmed_gateways`: those that have a loop of their own. `confirmation`: that of this loop; None:
        it serves all other gateways."""
        self._connection = connection
        self._producer = producer
        self._outcomes_topic = outcomes_topic
        self._log = log
        self._count = count
        self._now = now
        self._confirmed_gateways = list(confirmed_gateways)
        self._confirmation = confirmation

    async def run_once(self) -> int:
        """Reports one batch of what is due, and returns how many rows were due. Raises `TimeoutError`
        where the broker does not acknowledge the reports within 10 s."""
        rows = await self._take()
        if not rows:
            return 0
        decided = await self._decide([one for row in rows if (one := _read(row)) is not None])
        # The reports are published first: an inbox killed in between leaves rows whose lease runs out. Their
        # reports are sent again, under the same command ids, and change nothing. The other order could lose a
        # report for ever.
        await self._publish([report for one in decided for report in one.reports])
        # `_decide` leaves out what cannot be read, and puts last what the PSP did not show.
        known = {one.mark.id: one for one in decided}
        of_all = [known.get(row["id"]) or _unreadable(row) for row in rows]
        await self._connection.execute(_MARK, _columns([one.mark for one in of_all]), prepare=True)
        for row, decision in zip(rows, of_all, strict=True):
            self._record(row, decision)
        return len(rows)

    async def _decide(self, received: Sequence[ReceivedNotice]) -> list[_Decided]:
        if self._confirmation is None:
            return list(map(_decided, received, await subjects(self._connection, received)))
        shown = await self._confirmation.all(received)
        confirmed = [one for one in shown if one is not None]
        missing = [one for one, as_shown in zip(received, shown, strict=True) if as_shown is None]
        decided = list(map(_decided, confirmed, await subjects(self._connection, confirmed)))
        return decided + [_Decided(_not_yet(one, "not_confirmed")) for one in missing]

    async def _take(self) -> list[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row)
        one = self._confirmation
        which = {
            "batch": _BATCH if one is None else CONFIRMED_BATCH,
            "gateways": self._confirmed_gateways if one is None else [one.gateway],
            "named": one is not None,
        }
        values = {"lease_s": _LEASE_S, "tried_for_s": TRIED_FOR_S}
        await cursor.execute(_TAKE, which | values, prepare=True)
        # UPDATE ... RETURNING has no order. Two webhooks about one payment go to Kafka as they were received.
        return sorted(await cursor.fetchall(), key=lambda row: int(row["id"]))

    async def _publish(self, reports: Sequence[AnyReport]) -> None:
        """Rows whose report is lost on the way are taken again after their lease."""
        async with asyncio.timeout(_BROKER_MAX_S):
            for ack in [await self._send(report) for report in reports]:
                await ack

    async def _send(self, report: AnyReport) -> "asyncio.Future[object]":
        # Without a correlation id: the payment's own goes on.
        key = str(report.payment_id).encode()
        ack: asyncio.Future[object] = await self._producer.send(self._outcomes_topic, dump(report), key=key)
        return ack

    def _record(self, row: dict[str, Any], decided: _Decided) -> None:
        mark, first = decided.mark, not row["unmatched"]
        if first and mark.state != "waiting" and decided.notice is not None:
            self._count(row["gateway"], decided.notice)
        if mark.state == "done" and mark.reason == "no_payment":
            FOREIGN.labels(row["account"]).inc()
        if mark.state == "unmatched":
            if first:
                UNMATCHED.labels(row["account"], mark.reason).inc()
                self._log.error(
                    "a webhook needs an operator", id=mark.id, account=row["account"], reason=mark.reason
                )
        elif mark.payment_id is not None:
            MATCHED.labels(row["gateway"]).inc()
            # PostgreSQL's clock and this machine's may differ, so the difference may be below 0.
            SECONDS.observe(max((self._now() - row["received_at"]).total_seconds(), 0.0))


def _read(row: dict[str, Any]) -> ReceivedNotice | None:
    """Reads a row. None: another version stored it, in a form that this one does not know."""
    try:
        return ReceivedNotice(**row | {"notice": notices.read(row["notice"])})
    except ValidationError:
        return None


def _unreadable(row: dict[str, Any]) -> _Decided:
    return _Decided(_Mark(row["id"], "unmatched", "not_valid"))


def _decided(received: ReceivedNotice, subject: Subject | Missing) -> _Decided:
    return _Decided(*_marked(received, subject), received.notice)


def _marked(received: ReceivedNotice, subject: Subject | Missing) -> tuple[_Mark, list[AnyReport]]:
    notice = received.notice
    if not notice.is_reportable:
        return _Mark(received.id, "done"), []
    if subject == "no_payment":
        # Other systems may use the account, and each of their webhooks would call an operator: only our
        # reference makes one ours.
        if received.last_try and received.notice.reference is None:
            return _Mark(received.id, "done", "no_payment", None, received.tries), []
        return _not_yet(received, subject), []
    if not isinstance(subject, Subject):
        return _Mark(received.id, "unmatched", subject, None, received.tries), []
    if notice.alarm is not None:
        return _Mark(received.id, "unmatched", "not_valid", subject.payment_id, received.tries), []
    try:
        made = reports(received, subject)
    except ValidationError:
        return _Mark(received.id, "unmatched", "not_valid", subject.payment_id, received.tries), []
    return _Mark(received.id, "done", None, subject.payment_id, received.tries), made


def _not_yet(received: ReceivedNotice, reason: Reason) -> _Mark:
    """Waits for the next try; after the last one an operator has to look."""
    if received.last_try:
        return _Mark(received.id, "unmatched", reason, None, received.tries, _AGAIN_AFTER_S)
    # The first pauses are short: a webhook may be faster than the response that gives the operation its PSP
    # id.
    wait_s = TRY_AFTER_S[min(received.tries, len(TRY_AFTER_S) - 1)]
    return _Mark(received.id, "waiting", reason, None, received.tries + 1, wait_s)


def reports(received: ReceivedNotice, subject: Subject) -> list[AnyReport]:
    """Returns the reports that a notice makes; a repeat has the same command ids. Raises pydantic's
    `ValidationError` for values that no report can hold."""
    made: list[AnyReport] = []
    notice = received.notice
    if notice.outcome is not None:
        made.append(
            RecordOutcome(
                command_id=_command_id(received, "outcome"),
                payment_id=subject.payment_id,
                operation_id=subject.operation_id,
                # No PSP names our step in a webhook; `aggregates.received` knows that this one names none.
                step=FIRST_STEP,
                gateway=received.gateway,
                account=received.account,
                outcome=notice.outcome,
                source="webhook",
                tries=0,
                first_try_at=None,
                # Our clock's time: the PSP's may be any, and some do not sign it.
                observed_at=received.received_at,
                signed_before=received.signed_before,
            )
        )
    if notice.dispute is not None:
        made.append(
            RecordDispute(
                command_id=_command_id(received, "dispute"),
                payment_id=subject.payment_id,
                operation_id=subject.operation_id,
                dispute=notice.dispute,
                reported_at=notice.at,
                observed_at=received.received_at,
                signed_before=received.signed_before,
            )
        )
    return made


def _command_id(received: ReceivedNotice, kind: Literal["outcome", "dispute"]) -> UUID:
    # Repeats have these in common, so whoever reports a webhook again makes a repeat, and no second report.
    return uuid5(_COMMANDS, orjson.dumps([received.account, received.event_id, kind]).decode())


def _columns(marks: Sequence[_Mark]) -> tuple[list[Any], ...]:
    return tuple([getattr(mark, one.name) for mark in marks] for one in fields(_Mark))
