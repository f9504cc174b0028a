"""What a batch of samples changes in the rows of its account. Pure.

Invariant: issuer declines change no circuit, and an unknown outcome is scored as neither a decline nor a
success.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from aggregates.operation import Kind
from aggregates.routing import adaptive, circuit, window
from aggregates.routing.circuit import Breaker, Change, CircuitRules
from aggregates.routing.window import Transaction, Window
from commands.records import Record
from commands.samples import Sample, SampleBatch
from gateways.health import minutes
from gateways.health.rows import MinuteCounts, MinuteRow, Place, SegmentRow, chain

SEGMENTS_MAX: Final = 100
"""The segments of one account. For a further one, the narrow one that was silent longest makes room."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_HELD_BACK_MAX: Final = timedelta(minutes=1)

_Timed = tuple[datetime, Sample]


@dataclass(slots=True)
class Account:
    """The rows of one account while a batch is applied. `row` hands out what the table has of a segment, and
    `minute` is its present minute; `segments`: the names of those that it has.

    Afterwards `changed` has the segments' new rows, `gone` those that made room, `minute` the present minute,
    `ended` the minutes that are over, `changes` those of the circuits by kind, and `dropped` how many
    segments there was no room for: all narrow ones are of this very batch.
    """

    rules: CircuitRules
    row: Callable[[str], SegmentRow | None]
    minute: MinuteRow | None
    segments: Collection[str]
    changed: dict[str, SegmentRow] = field(default_factory=dict)
    ended: list[MinuteRow] = field(default_factory=list)
    changes: list[tuple[Kind, Change]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    dropped: int = 0

    def apply(self, batch: SampleBatch, record: Record) -> None:
        """Changes the rows by the batch. A row that has seen the record stays as it is."""
        place = Place(record.offset, record.timestamp_ms)
        stamp = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
        by_segment: defaultdict[str, list[_Timed]] = defaultdict(list)
        timed = []
        for sample in batch.samples:
            # The broker's clock bounds the agent's, which may be wrong.
            at = max(min(sample.at, stamp), stamp - _HELD_BACK_MAX)
            timed.append((at, sample))
            for name in chain(sample.kind, sample.segment):
                by_segment[name].append((at, sample))
        whole = self.row("")
        # The last record may have been applied in part; of those before it, what is not there has made room.
        is_past = whole is not None and whole.seen.has_seen(record) and whole.seen != place
        # The wide segments first: of an account that is full, they always have room.
        for name in sorted(by_segment):
            row = self.row(name)
            if row is None and is_past:
                continue
            if row is None and not self._makes_room(name, by_segment):
                self.dropped += 1
            elif row is None or not row.seen.has_seen(record):
                row = row or SegmentRow(batch.gateway, stamp)
                changed = self._with(row, name, by_segment[name])
                self.changed[name] = replace(changed, gateway=batch.gateway, last_at=stamp, seen=place)
        if self.minute is None or not self.minute.seen.has_seen(record):
            self._count_in_minutes(batch.gateway, timed, place)

    def _makes_room(self, name: str, present: Collection[str]) -> bool:
        """Decides by the times of the records alone. `present`: the segments of this batch, which stay."""
        held = {*self.segments, *self.changed} - self.gone
        if "/" not in name or len(held) < SEGMENTS_MAX:
            return True
        silent = sorted((self._last_at(one), one) for one in held if "/" in one and one not in present)
        leaving = [one for _, one in silent[: len(held) - SEGMENTS_MAX + 1]]
        self.gone.update(leaving)
        return len(held) - len(leaving) < SEGMENTS_MAX

    def _last_at(self, name: str) -> datetime:
        row = self.row(name)
        return _NEVER if row is None else row.last_at

    def _with(self, row: SegmentRow, name: str, timed: Sequence[_Timed]) -> SegmentRow:
        row = replace(row, window=_counted(row.window, timed))
        breaker = row.breaker
        if name == timed[0][1].kind:
            breaker = self._circuit(row, name, timed)
        arm = row.arm
        for _, sample in timed:
            if sample.outcome not in {"unknown", "pending"}:
                arm = adaptive.observe(arm, success=sample.outcome == "approved")
        return replace(row, arm=arm, breaker=breaker)

    def _circuit(self, row: SegmentRow, kind: Kind, timed: Sequence[_Timed]) -> Breaker:
        breaker = row.breaker or Breaker(since=timed[0][0])
        per_s = row.window.per_s(timed[-1][0])
        for at, sample in timed:
            # A status query shows what became of a call that was counted when it was made.
            if sample.late == "query":
                continue
            done = circuit.observed(
                breaker,
                "failed" if sample.outcome in {"failed", "unknown"} else "worked",
                at,
                self.rules,
                per_s=per_s,
                error=sample.error,
            )
            breaker = done.breaker
            self.changes += [(kind, change) for change in done.changes]
        return breaker

    def _count_in_minutes(self, gateway: str, timed: Sequence[_Timed], place: Place) -> None:
        by_minute: defaultdict[int, list[Sample]] = defaultdict(list)
        now = -1 if self.minute is None else self.minute.minute
        for at, sample in timed:
            # A minute that is over stays as it is: what comes late counts in the present one.
            by_minute[max(window.minute_of(at), now)].append(sample)
        for number, samples in sorted(by_minute.items()):
            minute = self.minute
            if minute is None or number > minute.minute:
                self.ended += [] if minute is None else [minute]
                minute = MinuteRow(gateway, number)
            by_segment: defaultdict[str, list[Sample]] = defaultdict(list)
            for sample in samples:
                for name in filter(minutes.is_kept, chain(sample.kind, sample.segment)):
                    if name in by_segment or self._fits(name, minute, by_segment):
                        by_segment[name].append(sample)
            counts = minute.segments | {
                name: minutes.counted(minute.segments.get(name, MinuteCounts()), some)
                for name, some in by_segment.items()
            }
            self.minute = replace(minute, segments=counts, seen=place)

    @staticmethod
    def _fits(name: str, minute: MinuteRow, more: Collection[str]) -> bool:
        """Decides whether the minute has room. It is too short for a segment to be silent in it: the first
        ones stay."""
        held = minute.segments.keys()
        return "/" not in name or name in held or len(held | set(more)) < SEGMENTS_MAX


def _counted(before: Window, timed: Sequence[_Timed]) -> Window:
    counted = before
    known: list[Transaction] = []
    for at, sample in timed:
        if sample.outcome == "pending":
            continue
        one = Transaction(sample.outcome, sample.latency_ms, sample.error)
        if sample.late is None:
            known.append(one)
        else:
            counted = window.resolved(counted, one, at)
    return window.observed(counted, known, timed[-1][0]) if known else counted
