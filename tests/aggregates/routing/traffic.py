"""A year of random traffic, and what a commitment does to it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

from aggregates.routing.commitments import Course, share_needed
from aggregates.routing.policy import Commitment

SINCE, BY = date(2026, 1, 1), date(2026, 12, 31)
DAYS = 365


@dataclass(frozen=True)
class Year:
    """What became of a year. `natural`: payments that went to the account by themselves, `bent`: by the
    commitment."""

    target: int
    done: int
    natural: int
    bent: int
    shares: list[float]

    @property
    def least(self) -> int:
        """The payments that had to be bent at least."""
        return max(0, self.target - self.natural)


def days_of(chance: Random, per_day: float, growth: float) -> list[int]:
    """Payments on each day, from four weeks before the year: weekends are quiet, and days differ."""
    means = [
        per_day * (1 + growth * day / DAYS) * (0.5 if day % 7 >= 5 else 1.2) * chance.uniform(0.7, 1.3)
        for day in range(-28, DAYS)
    ]
    return [max(0, round(chance.gauss(mean, mean**0.5))) for mean in means]


def live(seed: int, target_share: float, natural: float, *, growth: float = 0.0, per_day: float = 60) -> Year:
    """Lives through the year. `target_share`: of the year's payments, what was promised. `natural`: the
    share that goes to the account by itself."""
    chance = Random(seed)
    days = days_of(chance, per_day, growth)
    target = round(sum(days[28:]) * target_share)
    commitment = Commitment(account="a", since=SINCE, by=BY, payments=target)
    done = offered = bent = by_itself = 0
    shares = []
    for day in range(DAYS):
        count = days[28 + day]
        for number in range(count):
            part = timedelta(days=number / count)
            now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) + part
            recent_s = (timedelta(days=27) + part).total_seconds()
            course = Course(done, offered, sum(days[day + 1 : day + 28]) + number, recent_s)
            share = share_needed(commitment, course, now)
            own = chance.random() < natural
            forced = not own and chance.random() < share
            by_itself, bent = by_itself + own, bent + forced
            done, offered = done + (own or forced), offered + 1
            shares.append(share)
    return Year(target, done, by_itself, bent, shares)
