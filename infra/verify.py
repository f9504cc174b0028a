"""The verdict: the commands on Kafka, the event store, the read models and the simulator's ledger, payment by payment.

Reads the four sources itself and takes nothing from counters. What is in flight is waited for, with a bound, and is
named where the time runs out.
"""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, assert_never, get_args
from uuid import UUID

import psycopg
from pydantic import Field

from infra.audit import sources
from infra.audit.facts import Asked, Charge, Facts, Finding, Kind, Parked, Recorded, Shown
from infra.audit.judge import judge
from infra.database import connect
from infra.settings import DatabaseSettings, KafkaSettings

_FAULTS: Final = frozenset(get_args(Kind)) - {"in_doubt"}
_POLL_S: Final = (0.1, 0.2, 0.5, 1.0)
# A request that has no answer yet has its timer set this far ahead at the most.
_TIMERS_AHEAD_S: Final = 60.0


class VerifySettings(KafkaSettings, DatabaseSettings):
    """The role may be aegispay_audit: it reads, and nothing else."""

    simulator_ledger: Path = Field(description="The SQLite file of what the simulator charged")


@dataclass(slots=True)
class Verdict:
    """`ok`: every number of `found` is 0 but for `in_doubt`, which AegisPay knows of itself."""

    payments: int = 0
    streams: int = 0
    gateway_charges: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    commands_complete: bool = True
    settled_s: float | None = None
    took_s: float = 0.0
    found: dict[Kind, dict[str, list[str]]] = field(
        default_factory=lambda: {kind: {} for kind in get_args(Kind)}
    )

    @property
    def ok(self) -> bool:
        return not any(self.found[kind] for kind in _FAULTS)

    def add(self, payment_id: UUID, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.found[finding.kind].setdefault(str(payment_id), []).append(finding.why)

    def as_json(self) -> dict[str, Any]:
        """Each kind as the number of payments, and the payments themselves under `found`."""
        return {
            "ok": self.ok,
            "payments": self.payments,
            "by_status": dict(sorted(self.by_status.items())),
            "gateway_charges": self.gateway_charges,
            **{kind: len(payments) for kind, payments in self.found.items()},
            "found": {
                kind: [{"payment_id": name, "why": whys} for name, whys in payments.items()]
                for kind, payments in self.found.items()
                if payments
            },
            "streams": self.streams,
            "commands_complete": self.commands_complete,
            "settled_s": self.settled_s,
            "took_s": round(self.took_s, 3),
        }


async def verify(settings: VerifySettings, settle_s: float = 0.0) -> Verdict:
    """Of every payment asked for until now. `settled_s` of the verdict is None where the time was not enough."""
    began = time.monotonic()
    until = await sources.ends(settings)
    settled = await _settle(settings, until, settle_s)
    asked, complete = await sources.commands(settings, until)
    verdict = await asyncio.to_thread(_compare, settings, asked)
    if not complete:
        # A stream older than the oldest command that is kept was asked for by one that is not.
        verdict.found["unasked_payments"].clear()
    verdict.commands_complete = complete
    verdict.settled_s = settled
    verdict.took_s = time.monotonic() - began
    return verdict


async def _settle(settings: VerifySettings, until: sources.Offsets, settle_s: float) -> float | None:
    """Until nothing is in flight; after how long, or None."""
    began = time.monotonic()
    with connect(settings, "audit") as connection:
        for tries in range(1_000_000):
            left_s = settle_s - (time.monotonic() - began)
            in_flight = await sources.unread(settings, until) or sources.in_flight(
                connection, left_s + _TIMERS_AHEAD_S
            )
            if not in_flight:
                return round(time.monotonic() - began, 3)
            if left_s <= 0:
                return None
            await asyncio.sleep(min(_POLL_S[min(tries, len(_POLL_S) - 1)], left_s))
    raise AssertionError


def _compare(settings: VerifySettings, asked: dict[UUID, Asked]) -> Verdict:
    verdict = Verdict(payments=len(asked))
    with connect(settings, "audit") as connection:
        # One snapshot for the store and the read models, however long the reading takes.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            for payment_id, facts in _joined(connection, asked, settings.simulator_ledger):
                verdict.gateway_charges += len(facts.charges)
                if facts.recorded is not None:
                    verdict.streams += 1
                    broken = facts.recorded.broken is not None
                    verdict.by_status["UNREADABLE" if broken else facts.recorded.status.value] += 1
                elif facts.asked is not None:
                    verdict.by_status["NOT_DECIDED"] += 1
                verdict.add(payment_id, judge(facts))
    return verdict


_Fact = Asked | Recorded | Shown | Charge | Parked


def _joined(
    connection: psycopg.Connection, asked: dict[UUID, Asked], ledger: Path
) -> Iterator[tuple[UUID, Facts]]:
    connection.execute("SELECT 1 FROM payment_events LIMIT 1")  # takes the snapshot
    # The ledger is read after it: a charge is there before its event is, never the other way round.
    ordered: list[Iterable[tuple[UUID, _Fact]]] = [
        sorted(asked.items(), key=itemgetter(0)),
        sources.streams(connection),
        sources.parked(connection),
        sources.shown(connection),
        sources.charges(ledger),
    ]
    everything = heapq.merge(*ordered, key=itemgetter(0))
    for payment_id, group in groupby(everything, key=itemgetter(0)):
        facts = Facts()
        for _, fact in group:
            _put(facts, fact)
        yield payment_id, facts


def _put(facts: Facts, fact: _Fact) -> None:
    match fact:
        case Asked():
            facts.asked = fact
        case Recorded():
            facts.recorded = fact
        case Shown():
            facts.shown = fact
        case Charge():
            facts.charges.append(fact)
        case Parked():
            facts.parked = fact.reason
        case _:
            assert_never(fact)
