"""What a create says of a card, without its number, and of a card that is kept for later.

Part of the producers' client: it imports nothing else of AegisPay.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .fields import Country, Message, Token

Bin = Annotated[str, StringConstraints(pattern=r"^([0-9]{6}|[0-9]{8})$")]
# No digits: beside a BIN they could be the rest of the number.
Scheme = Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z][a-z_]*$")]


class StoredCredential(Message):
    """The way in which a payment uses a card that is, or will be, kept for later payments."""

    use: Literal["store", "reuse"]
    initiator: Literal["customer", "merchant"]
    customer_token: Token | None = Field(default=None, description="The customer's id at the PSP")


class Card(Message):
    """What the merchant knows of the card behind the token: for routing, never sent to a PSP."""

    bin: Bin | None = Field(default=None, description="The card number's first 6 or 8 digits, and no more")
    country: Country | None = Field(default=None, description="The country of the card's issuer")
    scheme: Scheme | None = Field(default=None, description="In small letters, such as visa or mastercard")
    funding: Literal["credit", "debit", "prepaid", "charge", "unknown"] | None = None
