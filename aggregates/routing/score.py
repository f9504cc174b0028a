"""One figure for a segment's health, from 0.0 to 1.0, for people who look at a table. Strategies decide by
the figures that it is made of.

    score = sound * (0.7 + 0.2 * approval + 0.1 * speed)

- sound: of all transactions, the share to which the PSP responded as it should:
  (approved + declined + 1) / (all + 1). A failure and an unknown outcome lower it alike: either way the
  money did not move as it should.
- approval: (approved + 1) / (approved + declined + 1). An issuer's declines weigh a fifth: they say more
  about the cards than about the PSP.
- speed: 1 at a p95 of 0 s, 0 at the 10 s after which a call is given up; 1 where nothing was measured.

The 1 in the shares stands for the benefit of the doubt: without data the score is 1.
"""

from typing import Final

_SLOWEST_MS: Final = 10_000.0
_BASE: Final = 0.7
_APPROVAL: Final = 0.2
_SPEED: Final = 0.1


def score(*, approved: int, declined: int, failed: int, unknown: int, p95_ms: float | None) -> float:
    """Returns the score of a segment with these counts and this latency."""
    responded = approved + declined
    sound = (responded + 1) / (responded + failed + unknown + 1)
    approval = (approved + 1) / (responded + 1)
    speed = 1.0 if p95_ms is None else 1.0 - min(p95_ms, _SLOWEST_MS) / _SLOWEST_MS
    return sound * (_BASE + _APPROVAL * approval + _SPEED * speed)
