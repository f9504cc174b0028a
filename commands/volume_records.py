"""The records of the topic `routing.volumes`: what each merchant's accounts have charged, and which share of
the payments to come his commitments need. The record's key is the merchant's id.

Invariant: a record that grows old forces nothing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from aggregates.routing.health import AHEAD_MAX
from commands.fields import Currency, Id, Moment
from commands.internal_record import InternalRecord

SHARES_HOLD_FOR: Final = timedelta(hours=1)
"""A record that is older than this has no shares: the volume has gone on without it."""

COUNT_MAX: Final = 2**53
"""The most that a record counts, of payments or minor units: as much as JSON's numbers hold exactly."""
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
# A commitment ends in 2199 at the latest, with its last day.
_End = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))
]


class MonthVolume(InternalRecord):
    """The approved charges of an account in one currency since the month began, in UTC."""

    account: Id
    currency: Currency
    payments: Count
    amount_minor: Count


class CommitmentShare(InternalRecord):
    """How one commitment stands. `currency`: of a commitment to an amount; only payments in it count, and
    only they are to be moved. `done`, `target`: payments, or minor units of the currency. `share`: of the
    payments to come, in [0, 1]. `until`: the end of the commitment."""

    account: Id
    currency: Currency | None = None
    done: Count
    target: Count
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    until: _End


class VolumeRecord(InternalRecord):
    """What was charged at a merchant's accounts at `as_of`. `month`: such as `2026-11`."""

    type: Literal["routing_volumes.v1"] = "routing_volumes.v1"
    merchant_id: Id
    as_of: Moment
    month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
    accounts: tuple[MonthVolume, ...] = ()
    commitments: tuple[CommitmentShare, ...] = ()

    def shares(self, currency: str, now: datetime) -> dict[str, float]:
        """Returns the share of payments in a currency that each account has to get; empty: nothing has to be
        bent. Where the accounts need more than there is, they share it in proportion. A record that is dated
        ahead is as one that is old."""
        if not -AHEAD_MAX <= now - self.as_of <= SHARES_HOLD_FOR:
            return {}
        shares: dict[str, float] = {}
        for one in self.commitments:
            if one.share > 0 and now < one.until and one.currency in {None, currency}:
                shares[one.account] = max(one.share, shares.get(one.account, 0.0))
        total = sum(shares.values())
        return shares if total <= 1 else {account: share / total for account, share in shares.items()}


def month_of(now: datetime) -> str:
    """Returns the month of a time, in UTC, as a record names it."""
    return now.astimezone(UTC).strftime("%Y-%m")


def month_volumes(records: Iterable[VolumeRecord], now: datetime) -> dict[tuple[str, str], int]:
    """Returns what was charged since the month began, in minor units by account and currency, over all
    merchants that share an account. An account that is not named has charged nothing this month."""
    volumes: dict[tuple[str, str], int] = {}
    for record in records:
        if record.month == month_of(now):
            for one in record.accounts:
                place = (one.account, one.currency)
                volumes[place] = volumes.get(place, 0) + one.amount_minor
    return volumes
