"""The conditions of a PSP: as it was started, and as tests change them."""

import math
import random
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateways.simulator.core.faults import FaultRules

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)
_Z99: Final = 2.3263478740408408  # of the standard normal distribution, the 99th percentile
_AT_MOST_S: Final = 60.0
_Share = Annotated[float, Field(ge=0, le=1)]


class Lognormal(BaseModel):
    """A distribution as latencies have it: most a little above the least, some far above. The same seed gives
    the same sequence."""

    model_config = _STRICT
    p50_ms: Annotated[float, Field(gt=0, le=60_000)]
    p99_ms: Annotated[float, Field(gt=0, le=60_000)]
    seed: int = 0

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.p99_ms < self.p50_ms:
            raise ValueError("p99_ms is not below p50_ms")
        return self


class Behaviour(BaseModel):
    """The way in which webhooks are sent from now on; each share from 0 to 1, drawn from the seed and from
    what the webhook is and is about. `delay_s`: every webhook comes that much later. `repeat`: twice.
    `out_of_order`: later than those that come after it. `forged`: a copy with a wrong signature goes before.
    `lost`: never sent. `before_response`: before the response of the call that it is about."""

    model_config = _STRICT
    seed: int = 0
    delay_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    repeat: _Share = 0.0
    out_of_order: _Share = 0.0
    forged: _Share = 0.0
    lost: _Share = 0.0
    before_response: _Share = 0.0

    def draws(
        self, what: Literal["repeat", "out_of_order", "forged", "lost", "before_response"], webhook: str
    ) -> bool:
        """True if this happens to the webhook: by its share, and always the same for one seed and one
        webhook."""
        share: float = getattr(self, what)
        if not share:
            return False  # the common case, and a hash costs
        drawn = blake2b(f"{self.seed}/{what}/{webhook}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < share * 2**64


@dataclass(slots=True)
class Latency:
    """The time from the arrival of a call to its response. `of`: a constant in milliseconds, or a
    distribution."""

    of: Lognormal | float = 0.0  # ms
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.of.seed if isinstance(self.of, Lognormal) else 0)  # noqa: S311 - no secret

    def draw_s(self) -> float:
        """The latency of the next call, in seconds; at most 60."""
        if not isinstance(self.of, Lognormal):
            return self.of / 1000
        sigma = math.log(self.of.p99_ms / self.of.p50_ms) / _Z99
        drawn_ms = self._chance.lognormvariate(math.log(self.of.p50_ms), sigma)
        return min(drawn_ms / 1000, _AT_MOST_S)


@dataclass(slots=True)
class Conditions:
    """The conditions of one PSP. The moments are monotonic seconds; 0: never. `failing_until`: every call
    gets 503. `cutting_until`: the PSP closes every connection on which a call arrives. `bursts`: by account,
    until when every call gets 429."""

    latency: Latency
    search_lag_s: float = 0.0
    failing_until: float = 0.0
    cutting_until: float = 0.0
    bursts: dict[str, float] = field(default_factory=dict)
    faults: FaultRules = field(default_factory=FaultRules)
    webhooks: Behaviour = field(default_factory=Behaviour)
