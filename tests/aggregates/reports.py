"""Reports on the newest operation of a payment."""

from datetime import timedelta

from aggregates import outcomes
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from tests.support.builders import (
    NOW,
    ORDERS,
    cause,
    operation_of,
    report,
)

LATER = NOW + timedelta(seconds=9)


def say(made: Payment, state: OperationState, route: Route = ORDERS, now=NOW, **other) -> None:
    outcomes.take(made, report(operation_of(made), state, **other), route, cause(now))


def newest(made: Payment):
    return made.operations[operation_of(made)]
