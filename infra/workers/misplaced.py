"""Finds commands in another partition than murmur2 of their key gives: another worker has their payment."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog
from aiokafka.partitioner import murmur2
from prometheus_client import Counter

from commands.decider import Work
from commands.messages import CreatePayment, MerchantCommand

# Merchants that the log names once: any producer may make up more, and memory is not to grow by that.
_WARNED_MAX: Final = 1000

MISPLACED = Counter(
    "aegispay_command_misplaced_records",
    "Commands in another partition than murmur2 of their key gives: a producer has another partitioner",
)

_log = structlog.get_logger()


class Misplaced:
    """`partitions`: of the commands' topic."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._warned: set[str] = set()

    def among(self, works: Sequence[Work]) -> set[UUID]:
        """Returns the ids of the misplaced commands.

        The store keeps them apart, so they are decided all the same. A record does not name its producer, so
        the log names each merchant once.
        """
        found = set()
        for work in works:
            message, record = work.message, work.record
            if not isinstance(message, (CreatePayment, MerchantCommand)):
                continue
            assert record.key is not None
            if record.partition == (right := (murmur2(record.key) & 0x7FFFFFFF) % self._partitions):
                continue
            found.add(message.command_id)
            MISPLACED.inc()
            if message.merchant_id not in self._warned and len(self._warned) < _WARNED_MAX:
                self._warned.add(message.merchant_id)
                _log.warning(
                    "a producer's partitioner is not murmur2: the order per payment is lost",
                    merchant_id=message.merchant_id,
                    place=record.place,
                    partition=right,
                )
        return found
