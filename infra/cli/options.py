"""Options that several commands have, and how their values are read."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from infra.local.problem import LocalProblem

JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is standard output.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The local stack's data folder.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PaymentName = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="A payment's id, or the id of one of its operations.")
]
OperationName = Annotated[str | None, typer.Option("--operation", help="One operation's id.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the end.")]


def payment_of(text: str) -> UUID:
    """Raises `LocalProblem`."""
    from aggregates.operation import payment_id_of

    try:
        return payment_id_of(text) if len(text) != 36 else UUID(text)
    except ValueError:
        raise LocalProblem(
            f"{text} is no payment's id", "It looks like e1b49c14-8d3e-537c-90a9-489eec1ba441"
        ) from None


def minor(text: str, currency: str) -> int:
    """An amount as people write it. Raises `LocalProblem`."""
    from aggregates.money import CURRENCIES, exponent

    if currency not in CURRENCIES:
        raise LocalProblem(f"AegisPay does not take {currency}", f"It takes {', '.join(CURRENCIES)}")
    try:
        amount = Decimal(text).scaleb(exponent(currency))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount != amount.to_integral_value():
        digits = exponent(currency)
        raise LocalProblem(
            f"{text} is no amount in {currency}", f"{currency} has {digits} decimals; write e.g. 10.99"
        )
    return int(amount)
