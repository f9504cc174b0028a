"""Runs that never were, with verdicts made up."""

from typing import Any

from infra.chaos.plan import Plan
from infra.chaos.runner import Chaos
from infra.chaos.shop import Sale
from infra.shop import orders
from infra.verify import Verdict


def clean(**plan: Any) -> Chaos:
    made = Plan(**{"payments": 3} | plan)
    return Chaos(made, [], Verdict(payments=made.payments, settled_s=1.0), {}, [], 0, 1.0)


def in_doubt(*whys: str, name: str = "payment", **plan: Any) -> Chaos:
    run = clean(**plan)
    run.verdict.found["in_doubt"][name] = list(whys)
    return run


def sale(**what: Any) -> Sale:
    (order,) = orders(seed=1, count=1, rate=1.0, run="made-up", weather="calm")
    return Sale(order, by_http=False, course="refund", due_s=0.0, **what)
