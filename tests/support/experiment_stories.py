"""Payments that were assigned to the arms of an experiment."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from aggregates import attempts, outcomes
from aggregates.fees import FEE_KINDS, FeeBook, FeeRule, FeeSchedule, Price
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.policy import Experiment, Policy
from aggregates.routing.route import Route
from aggregates.routing.rules import ReadyPolicy
from commands.ids import payment_id
from tests.support import builders

EXPERIMENT = Experiment.model_validate(
    {
        "kind": "experiment",
        "id": "eu-or-us",
        "arms": {"a": {"share": 0.5, "account": "sim-eu"}, "b": {"share": 0.5, "account": "sim-us"}},
        "control": "a",
    }
)


def route_of(
    experiment: Experiment = EXPERIMENT, version: int = 3, stopped: frozenset[str] = frozenset()
) -> Route:
    """Two accounts, and a policy with the experiment."""
    policy = ReadyPolicy.of(Policy(strategy=experiment), version, {experiment.id: stopped})
    return replace(builders.TWO_ACCOUNTS, policy=policy)


def fees(**ppm: int) -> FeeBook:
    """A price of so many millionths at each account; `_` stands for `-` in its name."""
    return FeeBook(
        {
            name.replace("_", "-"): FeeSchedule(
                rules=(FeeRule(id="all", kinds=FEE_KINDS, prices=(Price(rate),)),)
            )
            for name, rate in ppm.items()
        }
    )


def assigned(
    customer_id: str | None, route: Route | None = None, book: FeeBook | None = None, **fields: Any
) -> Payment:
    """Requested and started."""
    content = builders.payment_request(
        **{"idempotency_key": str(uuid4()), "customer_id": customer_id} | fields
    )
    id_ = payment_id(content.merchant_id, content.idempotency_key)
    begin = builders.cause(fingerprint="f" * 64, **({} if book is None else {"fees": book}))
    return attempts.request(id_, content, route or route_of(), begin)


def ended(
    payment: Payment,
    state: OperationState,
    observed_at: datetime | None = None,
    operation: str | None = None,
    **other: Any,
) -> Payment:
    """With a report on its newest operation."""
    money: dict[str, Any] = {"amount_minor": payment.amount.minor, "currency": payment.amount.currency}
    if state is not OperationState.APPROVED:
        money = {"amount_minor": None, "currency": None, "psp_id": None}
    if observed_at is not None:
        other["observed_at"] = observed_at
    report = builders.report(operation or builders.operation_of(payment), state, **money | other)
    outcomes.take(payment, report, route_of(), builders.cause(command_id=UUID(int=uuid4().int)))
    return payment
