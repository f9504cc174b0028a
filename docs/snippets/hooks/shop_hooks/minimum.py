"""Refuses payments whose fees would eat them up."""

from commands.hooks import Accept, NewPayment, PreValidation, Refuse

MINIMUM_MINOR = {"EUR": 50, "USD": 50, "JPY": 50}


def check(payment: NewPayment) -> Accept | Refuse:
    least = MINIMUM_MINOR.get(payment.currency, 0)
    if payment.amount_minor < least:
        return Refuse(
            "amount_too_small", f"the shop takes cards from {least} {payment.currency} minor units on"
        )
    return Accept()


hook = PreValidation(name="minimum", run=check, on_failure="open", within_s=0.1)
