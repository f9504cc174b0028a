"""The options that several commands share, and how their values are read."""

import os
import re
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from infra.errors import Mistyped

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The local stack's data folder. Default: AEGISPAY_DATA, or else "
        f"{'/var/lib/aegispay' if os.geteuid() == 0 else '~/.local/state/aegispay'}.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON on standard output instead; all else goes to standard error."),
]
NOT_ABOVE_0 = ("The amount has to be above 0", "amount", "Write e.g. 10.99")
"""The problem, the field and the remedy."""
PaymentName = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="A payment's id, or the id of one of its operations.")
]
OperationName = Annotated[str | None, typer.Option("--operation", help="One operation's id.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the end.")]
Merchant = Annotated[
    str, typer.Option(help="The merchant whose payment it is; the local stack has demo and other.")
]
Key = Annotated[str | None, typer.Option(help="Idempotency key; default: a new one.")]
Amount = Annotated[
    str | None,
    typer.Argument(
        metavar="AMOUNT", help="In decimals, such as 10.99; default: all that is left.", show_default=False
    ),
]
Evidence = Annotated[str, typer.Option(help="What the decision rests on: the PSP's record, a ticket.")]
Who = Annotated[str, typer.Option(help="Your name, which is recorded with the decision.")]
Yes = Annotated[bool, typer.Option("--yes", help="Record it without asking for confirmation.")]

_DECIMALS: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_EXAMPLES: Final = {0: "500", 2: "10.99", 3: "10.990"}


def payment_of(text: str) -> UUID:
    """Returns the payment's id, from its own text or an operation's id. Raises `Mistyped`."""
    from aggregates.operation import payment_id_of

    try:
        return payment_id_of(text) if len(text) != 36 else UUID(text)
    except ValueError:
        raise Mistyped(
            f"{text} is no payment's id",
            "One has 36 characters: 8, 4, 4, 4 and 12 hex digits, with - between. `aegispay list` shows those there are",
        ) from None


def minor(text: str, currency: str) -> int:
    """Returns a decimal amount in minor units. Raises `Mistyped`."""
    from aggregates.money import CURRENCIES, exponent

    if currency not in CURRENCIES and text.upper() in CURRENCIES:
        raise Mistyped("The amount comes before the currency", f"Write {currency} {text.upper()}", "amount")
    if currency not in CURRENCIES:
        near = get_close_matches(currency, CURRENCIES, 1) or ["EUR"]
        hint = f"Did you mean {near[0]}? An ISO 4217 code is three letters; docs/gateways.md lists those of each PSP"
        raise Mistyped(f"AegisPay does not take {currency}", hint, "currency")
    digits = exponent(currency)
    amount = Decimal(text).scaleb(digits) if _DECIMALS.fullmatch(text) else None
    if amount is None or amount != amount.to_integral_value():
        cure = f"{currency} has {digits or 'no'} decimals; write e.g. {_EXAMPLES[digits]}"
        raise Mistyped(f"{text} is no amount in {currency}", cure, "amount")
    if amount <= 0:
        what, where, remedy = NOT_ABOVE_0
        raise Mistyped(what, remedy, where)
    return int(amount)
