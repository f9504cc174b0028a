"""Hooks of tests. Each does what the payment's metadata says, and notes its call in the file that they
name."""

import os
import threading
from pathlib import Path

from commands.hooks import (
    Accept,
    Accounts,
    Allow,
    Deny,
    FraudCheck,
    Listener,
    NewPayment,
    PreValidation,
    PublishedEvent,
    Refuse,
    Review,
    Routing,
)


def _note(payment: NewPayment, hook: str) -> None:
    if (calls := payment.metadata.get("calls")) is not None:
        with Path(calls).open("a") as file:
            file.write(f"{hook} {payment.payment_id}\n")


def calls(file: Path, hook: str) -> int:
    """How often it was called about the payments of this file."""
    return sum(line.startswith(f"{hook} ") for line in file.read_text().splitlines()) if file.exists() else 0


async def _validate(payment: NewPayment) -> Accept | Refuse:
    _note(payment, "validation")
    if payment.metadata.get("validation") == "refuse":
        return Refuse("shop_closed", "the shop is closed on Sundays")
    return Accept()


def _check(payment: NewPayment) -> Allow | Deny | Review:
    _note(payment, "fraud")
    match payment.metadata.get("fraud"):
        case "deny":
            return Deny("a stolen card", 0.97)
        case "review":
            return Review("a new customer", 0.7)
        case "raise":
            raise RuntimeError(payment.payment_method)
        case "hang":
            threading.Event().wait(30)
    return Allow(0.1)


def _route(payment: NewPayment) -> Accounts:
    _note(payment, "routing")
    only = payment.metadata.get("only")
    return Accounts(only=(only,) if only else ())


opening_hours = PreValidation(name="opening-hours", run=_validate, on_failure="open", within_s=2)
risk = FraudCheck(name="risk", run=_check, within_s=0.5)
residency = Routing(name="residency", run=_route, on_failure="closed")


def _append(event: PublishedEvent) -> None:
    """To the file that the environment names: a listener is told of no other."""
    with Path(os.environ["AEGISPAY_EVENTS_FILE"]).open("a") as file:
        file.write(f"{event.id} {event.type}\n")


async def _picky(event: PublishedEvent) -> None:
    if event.type == "operation.started.v1":
        raise ValueError(event.data["payment_method"])
    _append(event)


ledger = Listener(name="ledger", run=_append, on_failure="closed")
picky = Listener(name="picky", run=_picky, on_failure="open", tries=2)
