"""How much of a merchant's traffic has to go to an account, so that the volume that he promised it is just
met.

Invariant: 0 while the split that there is meets it by itself, and never more than what is left to be done. It
is a wish, not a filter: an account that cannot take a payment is not forced, and no payment fails for a
volume.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from aggregates.routing.policy import Commitment

RECENT: Final = timedelta(days=28)
"""The time whose traffic is taken for that to come: whole weeks, since weekends differ."""
_DAY_S: Final = 86_400
# Of the traffic that is expected this much is counted on: some of it may not come.
_CAUTION: Final = 0.85
# The volume is to be reached so long before the end: the last days may be quiet ones. A part of the time, and
# no more than this.
_RESERVE_PART: Final = 0.02
_RESERVE_MAX_S: Final = 2 * _DAY_S
# At the beginning the account's share may lie below what is needed by this much, and by less as time passes:
# early it may well come by itself.
_PATIENCE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Course:
    """The approved charges that a commitment is judged by: their number, or their amounts in its currency.

    `done`: at the account since the commitment's first day. `offered`: at all accounts of the merchant in the
    same time. `recent`: at all of them in the `recent_s` seconds before now, which are at most `RECENT`.
    """

    done: int
    offered: int
    recent: int
    recent_s: float


def starts(commitment: Commitment) -> datetime:
    """Returns when the commitment begins: with its first day, in UTC."""
    return datetime.combine(commitment.since, time(), UTC)


def ends(commitment: Commitment) -> datetime:
    """Returns when the commitment is over: with its last day, in UTC."""
    return datetime.combine(commitment.by + timedelta(days=1), time(), UTC)


def share_needed(commitment: Commitment, course: Course, now: datetime) -> float:
    """Returns the share of the payments to come that has to go to the account, in [0, 1]; 0.0: it is on its
    course, or over. Of a commitment to an amount: of the payments in its currency."""
    target = commitment.payments or commitment.amount_minor or 0
    missing = target - course.done
    if missing <= 0 or not starts(commitment) <= now < ends(commitment):
        return 0.0
    left_s = (ends(commitment) - now).total_seconds()
    whole_s = (ends(commitment) - starts(commitment)).total_seconds()
    counted_s = left_s - min(whole_s * _RESERVE_PART, _RESERVE_MAX_S)
    if counted_s <= 0:
        return 1.0
    coming = course.recent / max(course.recent_s, 1.0) * counted_s
    if not coming:
        return 0.0  # there is no traffic yet, and so no payment to send anywhere
    natural = course.done / course.offered if course.offered else 0.0
    needed, cautious = missing / coming, missing / coming / _CAUTION
    # The share so far comes from this function too: where nearly everything is needed, it must not wait for
    # a share to fall first.
    if cautious < 1 and needed <= natural + _PATIENCE * left_s / whole_s:
        return 0.0
    return min(cautious, 1.0)
