"""The metrics of the health agent."""

from collections import Counter as Counts
from typing import Final

from prometheus_client import Counter, Gauge

from commands.health_records import HealthRecord
from commands.samples import SampleBatch

SAMPLES = Counter("aegispay_health_samples", "Samples taken in", ["account", "outcome"])
LETTERS = Counter("aegispay_health_dead_letters", "Records that are no samples", ["code"])
DROPPED = Counter(
    "aegispay_health_segments_dropped",
    "Segments that made room for others, or that there was no room for",
    ["account"],
)
CIRCUIT = Gauge("aegispay_gateway_circuit", "0: closed, 1: half-open, 2: open", ["account", "kind"])
CHANGES = Counter("aegispay_gateway_circuit_changes", "Changes of circuits", ["account", "kind", "after"])
SCORE = Gauge("aegispay_gateway_score", "From 0 to 1, of the whole account", ["account"])

_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}


def taken(batch: SampleBatch, dropped: int) -> None:
    """Counts a batch."""
    for outcome, count in Counts(sample.outcome for sample in batch.samples).items():
        SAMPLES.labels(batch.account, outcome).inc(count)
    if dropped:
        DROPPED.labels(batch.account).inc(dropped)


def published(record: HealthRecord) -> None:
    """Sets the gauges of an account."""
    for kind, circuit in record.circuits.items():
        CIRCUIT.labels(record.account, kind).set(_STATES[circuit.state])
    if (whole := record.segments.get("")) is not None:
        SCORE.labels(record.account).set(whole.score)
