"""The balances of a payment at its PSP, as a report of it carries them.

Part of the producers' client: it imports nothing else of AegisPay.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from .fields import Amount, Message, Token

KNOWN_AS: Final = "Further ids by which a webhook of the PSP may name it"


class Move(Message):
    """Money that moved under an id of its own at the PSP."""

    kind: Literal["capture", "refund"]
    psp_id: Token
    known_as: tuple[Token, ...] = Field(default=(), description=KNOWN_AS)
    amount_minor: Annotated[int, Field(strict=True, gt=0, le=2**53)]


class Balances(Message):
    """The balances of a payment at the PSP, whoever moved the money, in minor units of the payment's
    currency; null: not reported.

    `captured_minor`, `refunded_minor`: in total. `held_minor`: still to be captured. `moves`: those with an
    id of their own; the list may be incomplete.
    """

    captured_minor: Amount | None = None
    refunded_minor: Amount | None = None
    held_minor: Amount | None = None
    moves: tuple[Move, ...] = ()
