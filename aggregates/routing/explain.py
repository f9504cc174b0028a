"""Makes a recorded decision again, to prove that the record explains it. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from aggregates.routing.choice import Decision, Situation, choose
from aggregates.routing.facts import Candidate, Exclusion, Hints, PaymentFacts
from aggregates.routing.health import AccountHealth, Circuit, CircuitState, Health, SegmentHealth
from aggregates.routing.rules import ReadyPolicy


def situation_of(
    record: Mapping[str, Any], facts: PaymentFacts, policy: ReadyPolicy, now: datetime
) -> Situation:
    """Returns what the recorded decision depended on. `facts`: of the attempt that it is about. `policy`: the
    version that the record names. `now`: when it was made."""
    entries = record["accounts"]
    # Of this version, but with the arms that were stopped by then.
    stopped = {name: frozenset(arms) for name, arms in record.get("stopped", {}).items()}
    return Situation(
        facts=facts,
        candidates=[Candidate(one["account"], one.get("fee_minor")) for one in entries],
        now=now,
        excluded=[Exclusion(*one) for one in record.get("excluded", ())],
        tried=record.get("tried", ()),
        policy=replace(policy, stopped=stopped, readable=record.get("policy") != "unreadable"),
        health=Health({one["account"]: _health(one, facts, now) for one in entries if _is_known(one)}),
        hints=Hints(**{name: tuple(names) for name, names in record.get("hints", {}).items()}),
        shares=record.get("shares", {}),
    )


def recompute(record: Mapping[str, Any], facts: PaymentFacts, policy: ReadyPolicy, now: datetime) -> Decision:
    """Makes the recorded decision again. Where its own record differs from `record`, the record does not
    explain the decision: something changed it, or a release decides otherwise."""
    return choose(situation_of(record, facts, policy, now))


def _is_known(entry: Mapping[str, Any]) -> bool:
    return "known" in entry


def _health(entry: Mapping[str, Any], facts: PaymentFacts, now: datetime) -> AccountHealth:
    segments = {}
    if "outcomes" in entry:
        approved, declined, failed, unknown = entry["outcomes"]
        wins, losses = entry.get("arm", (0.0, 0.0))
        segments[entry["segment"]] = SegmentHealth(
            approved=approved,
            declined=declined,
            failed=failed,
            unknown=unknown,
            p95_ms=entry.get("p95_ms"),
            wins=wins,
            losses=losses,
        )
    circuits: dict[str, Circuit] = {}
    if "circuit" in entry:
        state, share, reason = entry["circuit"]
        circuits[facts.kind] = Circuit(_state(state), now, reason, share)
    return AccountHealth(entry["account"], now, circuits, segments)


def _state(name: str) -> CircuitState:
    states: dict[str, CircuitState] = {"closed": "closed", "open": "open", "half_open": "half_open"}
    return states[name]
