"""How this adapter names what PayPal keeps: `orders/<order>`, and below it what was done.

An order that waits for its payer is `orders/<order>/waiting/<step>`, by the step that was answered so: with it a look-up
tells an order that waits from one whose last call never arrived.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateways import scrubbed

Part = Literal["authorizations", "captures", "refunds", "waiting"]
_NAME: Final = re.compile(
    r"orders/([A-Za-z0-9-]{1,36})(?:/(authorizations|captures|refunds|waiting)/([A-Za-z0-9-]{1,36}))?"
)
# PayPal's ids are mostly digits, often more than thirteen in a row; a card number has no letter.
_ADDRESS_MAX: Final = 2000
_ID: Final = re.compile(r"(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{1,36}")


@dataclass(frozen=True, slots=True)
class Name:
    order: str
    part: str | None
    id: str | None


def read(psp_id: str | None) -> Name | None:
    found = _NAME.fullmatch(psp_id or "")
    return None if found is None else Name(*found.groups())


def order(order_id: str) -> str:
    return f"orders/{order_id}"


def inside(order_id: str, part: Part, one: str) -> str:
    return f"orders/{order_id}/{part}/{one}"


def identifier(said: Any) -> str | None:
    """An id of PayPal's, as it may stand in a path."""
    return said if isinstance(said, str) and _ID.fullmatch(said) else None


def page(said: Any, order_id: str) -> str | None:
    """An address of PayPal's for the payer. It has the order's id in it, which is no card number."""
    if not isinstance(said, str) or scrubbed.address(said.replace(order_id, "")) is None:
        return None
    return said if len(said) <= _ADDRESS_MAX else None
