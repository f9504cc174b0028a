"""Runs that never were, with verdicts made up."""

from typing import Any

from infra.tools.audit.verify import Verdict
from infra.tools.chaos.plan import ChaosPlan
from infra.tools.chaos.runner import Chaos
from infra.tools.traffic.chaos_orders import Sale
from infra.tools.traffic.orders import orders


def clean(**plan: Any) -> Chaos:
    made = ChaosPlan(**{"payments": 3} | plan)
    return Chaos(made, [], Verdict(payments=made.payments, settled_s=1.0), {}, [], 0, 1.0)


def in_doubt(*whys: str, name: str = "payment", **plan: Any) -> Chaos:
    run = clean(**plan)
    run.verdict.found["in_doubt"][name] = list(whys)
    return run


def sale(**what: Any) -> Sale:
    (order,) = orders(seed=1, count=1, rate=1.0, run="made-up", conditions="calm")
    return Sale(order, by_http=False, course="refund", due_s=0.0, **what)
