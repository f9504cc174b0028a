"""The merchants' accounts with what ranks them now: the active policies and the accounts' health.

Invariant: nothing here waits. Where no health was read, the policy's order decides, and each decision records
so. A policy that cannot be read is not taken for none.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

import orjson
import structlog
from pydantic import ValidationError

from aggregates.fees import FeeBook
from aggregates.routing.health import AccountHealth, Health
from aggregates.routing.route import Route
from aggregates.routing.rules import NO_POLICY, UNREADABLE, ReadyPolicy
from commands import policy_records
from commands.volume_records import VolumeRecord, month_of, month_volumes
from infra.psp.accounts import Accounts

_log: Final = structlog.get_logger()


class ActivePolicy(NamedTuple):
    """A merchant's policy as its record has it, ready for decisions. `change` grows with each change to
    it. `merchant_id`: of the record; None: it does not say."""

    change: int
    ready: ReadyPolicy
    merchant_id: str | None = None

    @classmethod
    def read(cls, value: bytes) -> "ActivePolicy":
        """Reads a record of `routing.policies`. One that a newer release wrote, and this one cannot read,
        still is the merchant's: without it his residency or his rules would be passed over."""
        try:
            record = policy_records.read(value)
        except ValidationError:
            merchant_id = _merchant_of(value)
            _log.error("a routing policy cannot be read: its merchant's payments wait", merchant=merchant_id)
            return cls(0, UNREADABLE, merchant_id)
        stopped = {name: frozenset(arms) for name, arms in record.stopped_arms.items()}
        return cls(
            record.change, ReadyPolicy.of(record.document, record.version, stopped), record.merchant_id
        )

    def replaces(self, held: "ActivePolicy") -> bool:
        """True unless a relay that another had overtaken sent this one. One that cannot be read takes the
        place of any: it may be a newer release's, and a worker that starts later has nothing else."""
        return not self.ready.readable or policy_records.replaces(self, held)


def _merchant_of(unreadable: bytes) -> str | None:
    try:
        found = orjson.loads(unreadable)["merchant_id"]
    except (ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) else None


def read_volumes(value: bytes) -> VolumeRecord:
    """Reads a record of `routing.volumes`. Raises pydantic's `ValidationError`, a `ValueError`."""
    return VolumeRecord.model_validate_json(value)


class RoutedAccounts:
    """Implements `commands.ports.Accounts`. `policies`: the active ones by merchant; `health`: by account;
    `volumes`: what was charged, by merchant. All are looked up for each message, so that a change counts at
    once."""

    def __init__(
        self,
        accounts: Accounts,
        policies: Callable[[], Mapping[str, ActivePolicy]],
        health: Callable[[], Mapping[str, AccountHealth]],
        volumes: Callable[[], Mapping[str, VolumeRecord]],
        now: Callable[[], datetime],
    ) -> None:
        self._accounts = accounts
        self._policies = policies
        self._health = health
        self._volumes = volumes
        self._now = now
        self._counted: Mapping[str, VolumeRecord] = {}
        self._month = ""
        self._fees = accounts.fees

    @property
    def fees(self) -> FeeBook:
        """The price lists of all accounts, with what was charged at each this month."""
        volumes, now = self._volumes(), self._now()
        # Summed up once for each change: a decision does not pay for the number of merchants.
        if volumes is not self._counted or month_of(now) != self._month:
            self._counted, self._month = volumes, month_of(now)
            counted = month_volumes(volumes.values(), now) if volumes else None
            self._fees = replace(self._accounts.fees, volumes=counted)
        return self._fees

    def for_payment(
        self,
        merchant_id: str,
        currency: str,
        payment_method: str | None,
        payment_methods: Mapping[str, str] | None = None,
    ) -> Route:
        """Returns the accounts that take the payment, with the merchant's policy, their health, and what his
        commitments need."""
        route = self._accounts.for_payment(merchant_id, currency, payment_method, payment_methods)
        active, volume = self._policies().get(merchant_id), self._volumes().get(merchant_id)
        return replace(
            route,
            policy=NO_POLICY if active is None else active.ready,
            health=Health(self._health()),
            shares={} if volume is None else volume.shares(currency, self._now()),
        )

    def stray_name(self, payment_methods: Mapping[str, str]) -> str | None:
        """See `Accounts.stray_name`."""
        return self._accounts.stray_name(payment_methods)

    def stray_prefix(self, merchant_id: str, payment_method: str) -> str | None:
        """See `Accounts.stray_prefix`."""
        return self._accounts.stray_prefix(merchant_id, payment_method)
