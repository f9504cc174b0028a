"""Compares the commands on Kafka, the event store, the read models and the simulator's ledger, payment by
payment.

It reads the four sources itself and relies on no counter. It waits for work in flight, up to a bound, and
names what is still in flight then.
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

from commands.sql import statements
from gateways.simulator.core.ledger import Disputed, Fee, Movement, Open, webhooks_waiting
from gateways.simulator.core.rows import Kind as Moved
from infra.postgres.connections import connect
from infra.postgres.unmatched_webhooks import Unmatched
from infra.settings import DatabaseSettings, KafkaSettings
from infra.tools.audit import kafka, ledger, store
from infra.tools.audit.facts import Doubt, Facts, Kind, Parked, Recorded, Refusals, SentCommands, Shown
from infra.tools.audit.fees import FeeTotals
from infra.tools.audit.judge import judge

NO_FAULTS: Final = frozenset({"in_doubt", "duplicate_charges_returned", "fee_differences"})
"""Findings that AegisPay itself knows and reports, and forecasts of fees that did not come true."""
_POLL_S: Final = (0.1, 0.2, 0.5, 1.0)
# A request that has no outcome yet has its timer set this far ahead at the most.
_TIMERS_AHEAD_S: Final = 60.0
_TAKE_SNAPSHOT: Final = statements(__file__)["take_snapshot"]


class VerifySettings(KafkaSettings, DatabaseSettings):
    """The settings of the comparison. The role may be aegispay_audit, which only reads."""

    simulator_ledger: Path = Field(description="The SQLite file of what the simulator charged")


@dataclass(slots=True)
class Verdict:
    """The result. `doubts`: how many payments are in doubt in each way; one may be in several.
    `settled_s`: None if something was still in flight when the time was up."""

    payments: int = 0
    streams: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    movements: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    doubts: Counter[Doubt] = field(default_factory=Counter)
    fees: FeeTotals = field(default_factory=FeeTotals)
    commands_complete: bool = True
    settled_s: float | None = None
    took_s: float = 0.0
    found: dict[Kind, dict[str, list[str]]] = field(
        default_factory=lambda: {kind: {} for kind in get_args(Kind)}
    )

    @property
    def ok(self) -> bool:
        """True if nothing was found but what AegisPay itself reports (`NO_FAULTS`)."""
        return not any(payments for kind, payments in self.found.items() if kind not in NO_FAULTS)

    @property
    def gateway_charges(self) -> int:
        """The number of times that money was taken, by sales and captures."""
        return self.movements["captured"]

    def add(self, payment_id: UUID, facts: Facts) -> None:
        """Judges one payment and adds its findings and counts."""
        if facts.recorded is not None:
            self.streams += 1
            payment = facts.recorded.payment
            self.by_status["UNREADABLE" if payment is None else payment.status.value] += 1
        elif facts.requested.creates:
            self.by_status["NOT_DECIDED"] += 1
        self.payments += bool(facts.requested.creates)
        self.commands.update(command.type for command in facts.beside)
        self.movements.update(one.kind for one in facts.movements)
        self.fees.add(facts)
        findings = judge(facts)
        for finding in findings:
            self.found[finding.kind].setdefault(str(payment_id), []).append(finding.reason)
        self.doubts.update({finding.doubt for finding in findings if finding.doubt is not None})

    def as_json(self) -> dict[str, Any]:
        """Returns each kind of finding as a number of payments, and the payments themselves under `found`."""
        return {
            "ok": self.ok,
            "payments": self.payments,
            "by_status": dict(sorted(self.by_status.items())),
            "commands": dict(sorted(self.commands.items())),
            "gateway_charges": self.gateway_charges,
            "gateway_movements": {kind: self.movements[kind] for kind in get_args(Moved)},
            "fees": self.fees.as_json(),
            **{kind: len(payments) for kind, payments in self.found.items()},
            "in_doubt_by": {doubt: self.doubts[doubt] for doubt in get_args(Doubt)},
            "found": {
                kind: [{"payment_id": name, "reasons": reasons} for name, reasons in payments.items()]
                for kind, payments in self.found.items()
                if payments
            },
            "streams": self.streams,
            "commands_complete": self.commands_complete,
            "settled_s": self.settled_s,
            "took_s": round(self.took_s, 3),
        }


async def verify(settings: VerifySettings, settle_s: float = 0.0) -> Verdict:
    """Compares every payment that was requested until now, after waiting up to `settle_s` for work in
    flight."""
    began = time.monotonic()
    until = await kafka.ends(settings)
    settled = await _settle(settings, until, settle_s)
    requests, complete = await kafka.commands(settings, until)
    verdict = await asyncio.to_thread(_compare, settings, requests)
    if settled is not None and verdict.found["read_model_mismatches"]:
        # An event that was committed after the wait may not be shown yet: what is still not after another
        # wait is a fault.
        await _settle(settings, await kafka.ends(settings), max(0.0, settle_s - settled))
        verdict = await asyncio.to_thread(_compare, settings, requests)
    if not complete:
        # The command behind a stream may be older than the oldest one that Kafka still keeps.
        verdict.found["unrequested_payments"].clear()
    verdict.commands_complete = complete
    verdict.settled_s = settled
    verdict.took_s = time.monotonic() - began
    return verdict


async def _settle(settings: VerifySettings, until: kafka.Offsets, settle_s: float) -> float | None:
    """Waits until nothing is in flight and returns after how many seconds; None: the time was not enough."""
    began = time.monotonic()
    with connect(settings, "audit") as connection:
        for tries in range(1_000_000):
            left_s = settle_s - (time.monotonic() - began)
            in_flight = await kafka.unread(settings, until) or store.in_flight(
                connection, left_s + _TIMERS_AHEAD_S
            )
            # Only webhooks report disputes.
            in_flight = in_flight or webhooks_waiting(
                settings.simulator_ledger, time.time() + max(left_s, 0.0)
            )
            if not in_flight:
                return round(time.monotonic() - began, 3)
            if left_s <= 0:
                return None
            await asyncio.sleep(min(_POLL_S[min(tries, len(_POLL_S) - 1)], left_s))
    raise AssertionError


def _compare(settings: VerifySettings, requests: dict[UUID, SentCommands]) -> Verdict:
    verdict = Verdict()
    with connect(settings, "audit") as connection:
        # One snapshot for the store and the read models, however long the reading takes.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            for payment_id, facts in _joined(connection, requests, settings.simulator_ledger):
                verdict.add(payment_id, facts)
    return verdict


_Fact = SentCommands | Recorded | Refusals | Parked | Shown | Movement | Open | Disputed | Fee | Unmatched


def _joined(
    connection: psycopg.Connection, requests: dict[UUID, SentCommands], ledger_file: Path
) -> Iterator[tuple[UUID, Facts]]:
    connection.execute(_TAKE_SNAPSHOT)
    # The ledger is read after it: a movement is there before its event is, never the other way round.
    ordered: list[Iterable[tuple[UUID, _Fact]]] = [
        sorted(requests.items(), key=itemgetter(0)),
        store.streams(connection),
        store.refusals(connection),
        store.parked(connection),
        store.shown(connection),
        store.unmatched(connection),
        ledger.movements(ledger_file),
        ledger.still_open(ledger_file),
        ledger.disputes(ledger_file),
        ledger.fees(ledger_file),
    ]
    everything = heapq.merge(*ordered, key=itemgetter(0))
    for payment_id, group in groupby(everything, key=itemgetter(0)):
        facts = Facts()
        for _, fact in group:
            _put(facts, fact)
        yield payment_id, facts


def _put(facts: Facts, fact: _Fact) -> None:
    match fact:
        case SentCommands():
            facts.requested = fact
        case Recorded():
            facts.recorded = fact
        case Refusals():
            facts.refused = fact.command_ids
        case Parked():
            facts.parked = fact
        case Shown():
            facts.shown = fact
        case Movement():
            facts.movements.append(fact)
        case Open():
            facts.still_open.append(fact)
        case Disputed():
            facts.disputed.append(fact)
        case Fee():
            facts.fees.append(fact)
        case Unmatched():
            facts.unmatched.append(fact)
        case _:
            assert_never(fact)
