"""The limits on retries in a batch: whose declines are to be loaded, what an attempt may follow, and what is
written of a decline."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from aggregates import events
from aggregates.decision import PaymentRequest
from aggregates.events import Reported
from aggregates.money import Money
from aggregates.operation import NOT_EXECUTED, OperationState
from aggregates.payment import Payment
from aggregates.payment_state import PaymentState
from aggregates.routing.budgets import DeclinedAttempt, budget, scheme_of
from aggregates.routing.route import Route
from commands.fields import Message
from commands.messages import CreatePayment, RecordOutcome, RetryParked, Wake
from commands.ports import Card, Decline, Fingerprints

_DECLINED: Final = (OperationState.DECLINED_SOFT, OperationState.DECLINED_HARD)
_DECLINES: Final = tuple(one for one in events.OUTCOMES if one.state in _DECLINED)


class Work(Protocol):
    """A message of a batch."""

    @property
    def message(self) -> Message:
        """The message itself."""
        ...


def cards_of(works: Iterable[Work], fingerprints: Fingerprints) -> dict[UUID, Card]:
    """Returns the cards and amounts that creates are about, by payment."""
    return {
        one.payment_id: Card(
            fingerprints.of(one.merchant_id, one.payment_method, one.payment_methods),
            Money(one.amount_minor, one.currency),
        )
        for work in works
        if isinstance(one := work.message, CreatePayment)
    }


def card_of(payment: Payment, fingerprints: Fingerprints) -> Card:
    """Returns the card and the amount that a payment is about."""
    marks = fingerprints.of(payment.merchant_id, payment.payment_method, payment.payment_methods)
    return Card(marks, payment.amount)


def may_lead_to_an_attempt(message: Any, payment: Payment) -> bool:
    """True for a message about a payment that exists, after which an attempt may follow."""
    match message:
        case RecordOutcome():
            return OperationState(message.outcome.kind) in NOT_EXECUTED
        case Wake():
            return not payment.attempts or any(
                retry.operation.is_charge_attempt for retry in payment.retries.values()
            )
        case RetryParked():
            return True
        case _:
            return not payment.attempts  # whatever it is that lets the first one begin


def scheme(described: PaymentState | PaymentRequest) -> str | None:
    """Returns the scheme of a payment's card. None: not known."""
    card = described.card or {}
    return scheme_of(card.get("scheme"), card.get("bin"))


def of_request(
    route: Route, declined: Sequence[DeclinedAttempt] | None, request: PaymentRequest, now: datetime
) -> Route:
    """Returns the route of a new payment, without any account where its card may not be tried again.
    `declined`: None where no limits are kept."""
    return _within(route, declined, scheme(request), request.amount, now)


def of_payment(
    route: Route,
    declined: Sequence[DeclinedAttempt] | None,
    payment: Payment,
    report: RecordOutcome | None,
    now: datetime,
) -> Route:
    """Does the same for an attempt that follows others. `report`: the one after which it follows, which may
    be of a decline that is not counted yet."""
    if declined is None:
        return route
    known = [*declined, *(() if report is None else reported(report, payment, now))]
    return _within(route, known, scheme(payment), payment.amount, now)


def _within(
    route: Route,
    declined: Sequence[DeclinedAttempt] | None,
    scheme: str | None,
    amount: Money,
    now: datetime,
) -> Route:
    if not declined or not route.accounts:
        return route
    spent = budget(declined, scheme, amount, now)
    if spent is None:
        return route
    names = [one.account for one in route.accounts]
    return replace(
        route,
        accounts=(),
        none_because=spent.detail,
        excluded=dict(route.excluded) | dict.fromkeys(names, spent.detail),
        codes=dict.fromkeys(names, spent.code),
    )


def reported(message: RecordOutcome, payment: Payment, now: datetime) -> list[DeclinedAttempt]:
    """Returns the decline that a report is about, before it is taken. Empty: it is about none."""
    outcome, operation = message.outcome, payment.operations.get(message.operation_id)
    if operation is None or not operation.is_charge_attempt or OperationState(outcome.kind) not in _DECLINED:
        return []
    return [
        DeclinedAttempt(
            operation.id, payment.amount, now, scheme(payment), outcome.issuer_code, outcome.issuer_advice
        )
    ]


def declines(payment: Payment, new: Iterable[object]) -> list[DeclinedAttempt]:
    """Returns the declines of attempts that new events of a payment record."""
    return [
        DeclinedAttempt(
            one.operation_id,
            payment.amount,
            one.timestamp,
            scheme(payment),
            one.issuer_code,
            one.issuer_advice,
        )
        for one in new
        if isinstance(one, _DECLINES)
        and isinstance(one, Reported)
        and payment.operations[one.operation_id].is_charge_attempt
    ]


def rows(payment: Payment, made: Iterable[DeclinedAttempt], fingerprints: Fingerprints) -> list[Decline]:
    """Returns what is written of declines: each under every mark of the payment's card."""
    marks = card_of(payment, fingerprints).fingerprints
    return [Decline(mark, payment.id, attempt) for attempt in made for mark in marks]
