"""Batches of samples as the health agent gets them, with what they are applied to."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aggregates.routing.circuit import CircuitRules
from commands.records import Record
from commands.samples import Sample, SampleBatch
from gateways.health.keeping import Account
from gateways.health.rows import MinuteRow, SegmentRow

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
ACCOUNT = "stripe-eu"
SEGMENT = "sale/card/EUR/eea"


def sample(outcome: str = "approved", after_s: float = 0.0, **more: Any) -> Sample:
    fields = {
        "kind": "sale",
        "segment": SEGMENT,
        "outcome": outcome,
        "at": START + timedelta(seconds=after_s),
    }
    return Sample.model_validate(fields | more)


def batch(*samples: Sample) -> SampleBatch:
    return SampleBatch(gateway="stripe", account=ACCOUNT, samples=samples)


def record(value: SampleBatch, offset: int = 0, after_s: float | None = None) -> Record:
    """`after_s`: of the broker's stamp; None: that of the newest sample."""
    newest = max(one.at for one in value.samples)
    stamp = newest if after_s is None else START + timedelta(seconds=after_s)
    return Record(
        "gateways.samples",
        0,
        offset,
        value.account.encode(),
        value.dump(),
        {},
        round(stamp.timestamp() * 1000),
    )


class Kept:
    """The rows of one account, over several batches."""

    def __init__(self, rules: CircuitRules | None = None) -> None:
        self.rules = rules or CircuitRules()
        self.rows: dict[str, SegmentRow] = {}
        self.minute: MinuteRow | None = None

    def take(self, value: SampleBatch, offset: int = 0, after_s: float | None = None) -> Account:
        account = Account(self.rules, self.rows.get, self.minute, set(self.rows))
        account.apply(value, record(value, offset, after_s))
        for name in account.gone:
            del self.rows[name]
        self.rows |= account.changed
        self.minute = account.minute
        return account
