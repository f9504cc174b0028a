"""Every Kafka topic, declared once. Created by `aegispay topics`, checked by every process at its start, never made by a consumer.

A keyed topic's partition count is fixed for ever: changing it breaks the order per payment.
"""

from dataclasses import dataclass
from typing import Final, Literal

from infra.adapters import ADAPTERS

COMMANDS: Final = "payments.commands"
REPLIES: Final = "payments.replies"
EVENTS: Final = "payments.events"
OUTCOMES: Final = "gateways.outcomes"
DEAD_LETTERS: Final = "dead.letters"
GATEWAYS: Final = tuple(ADAPTERS)

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


def requests(gateway: str) -> str:
    return f"gateways.{gateway}.requests"


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    partitions: int
    cleanup: Literal["delete", "compact"]
    retention_ms: int  # -1: for ever


def declared(partitions: int, prefix: str) -> tuple[Topic, ...]:
    """All of them. `partitions` holds for every topic that is keyed by payment."""
    return tuple(
        Topic(prefix + name, count, "delete", retention)
        for name, count, retention in (
            # Longer than the longest outage that is to be survived without a loss.
            (COMMANDS, partitions, 14 * _DAY_MS),
            (OUTCOMES, partitions, 14 * _DAY_MS),
            (REPLIES, partitions, _DAY_MS),
            (EVENTS, partitions, -1),
            *((requests(gateway), partitions, 14 * _DAY_MS) for gateway in GATEWAYS),
            (DEAD_LETTERS, 1, 90 * _DAY_MS),
        )
    )


def gateway_group(gateway: str) -> str:
    """The consumer group of a gateway's workers; where it stands tells how far they are."""
    return f"gateway-{gateway}"
