"""Assigns the customers of an experiment to its arms.

Invariant: the same experiment, shares and customer give the same arm, for as long as the experiment runs. An
arm's share that changes moves customers to this arm or away from it, and no other customers.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from math import inf, log
from typing import Any, Final, Literal
from uuid import UUID

from aggregates.routing.policy import Experiment

_POINTS: Final = 2**64


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm of a payment.

    `definition`: of the experiment, see `Experiment.definition`. `serves`: the arm whose strategy or account
    the payment gets, which is the control's where its own arm was stopped; empty: none served it. `by`: what
    was assigned; a payment without a customer is assigned by its own id, so that the same person may meet
    several arms.
    """

    experiment_id: str
    definition: str
    arm: str
    serves: str
    by: Literal["customer", "payment"]

    @property
    def counted(self) -> bool:
        """False for a payment of a stopped arm: it counts for no arm, since the one that it was assigned to
        did not serve it, and the others' customers were not chosen by chance if it joined them."""
        return self.arm == self.serves

    def unserved(self) -> "Assignment":
        """Returns the assignment of a payment that a rule, a hook, a commitment or an exclusion sent to an
        account, so that no arm served it."""
        return replace(self, serves="")

    def as_json(self) -> dict[str, Any]:
        """Returns what a decision records, and the read models count by."""
        serves = {} if self.counted else {"serves": self.serves}
        made = {"id": self.experiment_id, "definition": self.definition, "arm": self.arm, "by": self.by}
        return made | serves


def arm_of(
    experiment: Experiment, customer_id: str | None, payment_id: UUID, stopped: Collection[str] = ()
) -> Assignment:
    """Returns the arm of a customer, or of a payment without one. Each arm gets its share of the customers,
    relative to the sum of the shares. `stopped`: arms that get no payments; the control is never one.
    """
    unit = str(payment_id) if customer_id is None else customer_id
    arm = max(sorted(experiment.arms), key=lambda name: _score(experiment, name, unit))
    serves = experiment.control if arm in stopped else arm
    by: Literal["customer", "payment"] = "payment" if customer_id is None else "customer"
    return Assignment(experiment.id, experiment.definition, arm, serves, by)


def _score(experiment: Experiment, arm: str, unit: str) -> float:
    """Returns the arm's score for a unit: the arm with the greatest one has it. Weighted rendezvous hashing:
    with a uniform u for each arm, the least of -ln(u) / share belongs to an arm with its share as the
    probability, and a share enters only its own arm's score."""
    share = experiment.arms[arm].share
    if share <= 0:
        return -inf
    digest = sha256(f"{experiment.id}\0{arm}\0{unit}".encode()).digest()
    uniform = (int.from_bytes(digest[:8]) + 0.5) / _POINTS
    return log(uniform) / share if uniform < 1 else 0.0
