"""Keeps the payments of customers in India at an account there, as the accounts file names it."""

from commands.hooks import Accounts, NewPayment, Routing


def choose(payment: NewPayment) -> Accounts:
    if payment.country == "IN":
        return Accounts(only=("acct-in",), reason="data of customers in India stay there")
    return Accounts(never=("acct-in",))


hook = Routing(name="residency", run=choose, on_failure="closed", within_s=0.1)
