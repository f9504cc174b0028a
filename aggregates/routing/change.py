"""Notices that a success rate has changed: a generalised likelihood ratio test over a compact history.

The history is an exponential histogram (Datar, Gionis, Indyk and Motwani, 2002): single outcomes at the
newest end, and towards the past buckets of 2, 4, 8 … outcomes. The test of Besson and Kaufmann
(arXiv 1902.01575) is asked only at the edges of the buckets. Invariant: whatever was observed, the history
has at most `BUCKETS_MAX` buckets, and one more outcome costs at most that many tests.
"""

from math import log
from typing import Final

Bucket = tuple[int, int]
"""Wins and losses of outcomes that follow one another; their number is a power of two."""

SINGLE_MAX: Final = 8
"""How many of the newest outcomes stand alone, so that a change just now is seen at its exact place."""
OF_A_SIZE_MAX: Final = 2
"""How many larger buckets of one size stand side by side; one more, and the two oldest become one."""
LARGEST: Final = 4096
"""The outcomes of the largest bucket. A history that would need a larger one forgets its oldest."""
BUCKETS_MAX: Final = SINGLE_MAX + OF_A_SIZE_MAX * (LARGEST.bit_length() - 1)
THRESHOLD: Final = 10.0
"""The evidence for a change from which it counts as noticed, in nats."""
OUTAGE_THRESHOLD: Final = 8.5
"""The same where the newest outcomes, `OUTAGE_MIN` at least, are failures without exception: of all changes
the one that costs most. At a rate of 0.85 five failures in a row are evidence of 9.5 nats, at 0.94 of 14."""
OUTAGE_MIN: Final = 5


def appended(history: tuple[Bucket, ...], *, success: bool) -> tuple[Bucket, ...]:
    """Returns the history with one more outcome. The newest bucket stands first."""
    buckets = [(1, 0) if success else (0, 1), *history]
    last, size, at_most = -1, 1, SINGLE_MAX
    while True:
        last += at_most
        if len(buckets) <= last + 1 or sum(buckets[last + 1]) != size:
            return tuple(buckets)
        older = buckets.pop(last + 1)
        if size == LARGEST:
            return tuple(buckets)
        newer = buckets[last]
        buckets[last] = (newer[0] + older[0], newer[1] + older[1])
        last, size, at_most = last - 1, size * 2, OF_A_SIZE_MAX


def since_change(history: tuple[Bucket, ...]) -> tuple[Bucket, ...]:
    """Returns the part of the history since its most evident change; all of it where no change is evident."""
    wins = sum(bucket[0] for bucket in history)
    losses = sum(bucket[1] for bucket in history)
    if not wins or not losses:
        return history
    whole = _plogp(wins, losses)
    newer_wins = newer_losses = kept = 0
    best = OUTAGE_THRESHOLD
    per_chi2 = (wins + losses) ** 2 / (wins * losses)
    for place, (bucket_wins, bucket_losses) in enumerate(history[:-1], start=1):
        newer_wins += bucket_wins
        newer_losses += bucket_losses
        older_wins, older_losses = wins - newer_wins, losses - newer_losses
        newer, older = newer_wins + newer_losses, older_wins + older_losses
        # Pearson's statistic bounds the likelihood ratio from above, and costs a fifth of it.
        apart = newer_wins / newer - older_wins / older
        if apart * apart * newer * older / (newer + older) * per_chi2 < best:
            continue
        evidence = _plogp(newer_wins, newer_losses) + _plogp(older_wins, older_losses) - whole
        fails = not newer_wins and newer >= OUTAGE_MIN
        if evidence >= best and (fails or evidence >= THRESHOLD):
            best, kept = evidence, place
    return history[:kept] if kept else history


def _plogp(wins: int, losses: int) -> float:
    """Returns the logarithm of the outcomes' likelihood at their own rate."""
    if not wins or not losses:
        return 0.0
    return wins * log(wins) + losses * log(losses) - (wins + losses) * log(wins + losses)
