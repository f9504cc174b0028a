"""Protocols of what the relay needs and infra provides: a log, single records of Kafka, the PSP's
confirmation of webhooks."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from relay.matching import ReceivedNotice

RecordAt = Callable[[str, int, int], Awaitable[Any | None]]
"""Returns aiokafka's ConsumerRecord at topic, partition and offset; None where the topic no longer has it."""


class Log(Protocol):
    """A structured log, as structlog's bound logger is one."""

    def error(self, event: str, **fields: object) -> object:
        """Writes an event that an operator should see, with its fields."""
        ...


class WebhookConfirmation(Protocol):
    """Reads the webhooks of one PSP once more at that PSP, whose signature does not prove a webhook's
    body."""

    @property
    def gateway(self) -> str:
        """The gateway whose webhooks it confirms."""
        ...

    async def all(self, received: Sequence[ReceivedNotice]) -> list[ReceivedNotice | None]:
        """Returns each as the PSP has it, in their order; None where the PSP did not show it."""
        ...
