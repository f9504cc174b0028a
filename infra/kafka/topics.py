"""Declares every Kafka topic and consumer group. `aegispay topics` creates the topics, every process checks
them at its start, and no consumer makes one.

Invariant: the partition count of a keyed topic never changes, since another count breaks the order per
payment.
"""

from dataclasses import dataclass
from typing import Final, Literal

from gateways.registry import ADAPTERS

COMMANDS: Final = "payments.commands"
REPLIES: Final = "payments.replies"
EVENTS: Final = "payments.events"
OUTCOMES: Final = "gateways.outcomes"
DEAD_LETTERS: Final = "dead.letters"
POLICIES: Final = "routing.policies"
VOLUMES: Final = "routing.volumes"
SAMPLES: Final = "gateways.samples"
HEALTH: Final = "gateways.health"
HEALTH_CHANGELOG: Final = "gateways.health.changelog"
HEALTH_HISTORY: Final = "gateways.history"
GATEWAYS: Final = tuple(ADAPTERS)

SAMPLES_PARTITIONS: Final = 4
"""Of the topics that are keyed by account and feed the health worker: at most so many of its processes share
the work. A table of Faust's wants equally many in its changelog."""

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


def requests(gateway: str) -> str:
    """Returns the topic of the requests to one gateway, without the installation's prefix."""
    return f"gateways.{gateway}.requests"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created; `name` with the installation's prefix."""

    name: str
    partitions: int
    cleanup: Literal["delete", "compact"]
    retention_ms: int  # -1: for ever


def declared(partitions: int, prefix: str) -> tuple[Topic, ...]:
    """Returns every topic. `partitions` is the count of each topic that is keyed by payment."""
    return (
        *(Topic(prefix + name, count, "delete", kept) for name, count, kept in _deleted(partitions)),
        *(Topic(prefix + name, count, "compact", -1) for name, count in _COMPACTED),
    )


def _deleted(partitions: int) -> tuple[tuple[str, int, int], ...]:
    return (
        # Longer than the longest outage that must not lose a record.
        (COMMANDS, partitions, 14 * _DAY_MS),
        (OUTCOMES, partitions, 14 * _DAY_MS),
        (REPLIES, partitions, _DAY_MS),
        (EVENTS, partitions, -1),
        *((requests(gateway), partitions, 14 * _DAY_MS) for gateway in GATEWAYS),
        (DEAD_LETTERS, 1, 90 * _DAY_MS),
        # A sample that nobody has read within a day is of no use.
        (SAMPLES, SAMPLES_PARTITIONS, _DAY_MS),
        (HEALTH_HISTORY, 1, 14 * _DAY_MS),
    )


# One partition where every reader reads all of it.
_COMPACTED: Final = ((POLICIES, 1), (VOLUMES, 1), (HEALTH, 1), (HEALTH_CHANGELOG, SAMPLES_PARTITIONS))


COMMAND_GROUP: Final = "commands"
"""The consumer group of the command workers, on COMMANDS and OUTCOMES."""
TIMERS_GROUP: Final = "timers"
"""The consumer group of the timers processes, on DEAD_LETTERS."""
HEALTH_GROUP: Final = "health"
"""The consumer group of the health workers, on SAMPLES."""
READ_MODELS_GROUP: Final = "read-models"
"""The consumer group of the read-model workers, on EVENTS."""


def gateway_group(gateway: str) -> str:
    """The consumer group of a gateway's workers; its offsets show how far they are."""
    return f"gateway-{gateway}"


def listener_group(name: str) -> str:
    """The consumer group of one listener hook, on EVENTS."""
    return f"listener-{name}"
