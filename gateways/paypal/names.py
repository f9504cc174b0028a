"""Names what PayPal keeps: `orders/<order>`, and below it what was done.

An order that awaits its payer is `orders/<order>/waiting/<step>`, by the step that had this response: with it
a lookup distinguishes an order that waits from one whose last call never arrived. A webhook may know a
capture, and not its order: the capture is also known as `captures/<capture>`.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateways.wire import redaction

Part = Literal["authorizations", "captures", "refunds", "waiting"]
_NAME: Final = re.compile(
    r"orders/([A-Za-z0-9-]{1,36})(?:/(authorizations|captures|refunds|waiting)/([A-Za-z0-9-]{1,36}))?"
)
_LINKED: Final = re.compile(
    r"/v2/(?:payments|checkout)/(orders|authorizations|captures|refunds)/([A-Za-z0-9-]{1,36})\Z"
)
_ADDRESS_MAX: Final = 2000
_EVENT: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
# PayPal's ids are mostly digits, often more than thirteen in a row; a card number has no letter.
_ID: Final = re.compile(r"(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{1,36}")


@dataclass(frozen=True, slots=True)
class Name:
    """A name in its parts: the order, and what was done below it."""

    order: str
    part: str | None
    id: str | None


def read(psp_id: str | None) -> Name | None:
    """The parts of a name. None: it is no name of this adapter's."""
    found = _NAME.fullmatch(psp_id or "")
    return None if found is None else Name(*found.groups())


def order(order_id: str) -> str:
    """The name of an order."""
    return f"orders/{order_id}"


def inside(order_id: str, part: Part, one: str) -> str:
    """The name of an object inside its order."""
    return f"orders/{order_id}/{part}/{one}"


def known(order_id: str, part: Part, one: str) -> dict[str, Any]:
    """An object's names, as fields of an outcome. A webhook may name what was done without its order."""
    return {"psp_id": inside(order_id, part, one), "known_as": (alone(part, one),)}


def alone(part: Part, one: str) -> str:
    """The name of an object whose order is not known."""
    return f"{part}/{one}"


def linked(links: Any, rel: str) -> str | None:
    """The name of what the link of this relation leads to: an order, or an authorization, capture or refund
    without its order. None: there is no such link. Source: HATEOAS links in the OpenAPI of Orders v2."""
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == rel and isinstance(link.get("href"), str):
            found = _LINKED.search(link["href"])
            if found is not None and identifier(found[2]) is not None:
                return f"{found[1]}/{found[2]}"
    return None


def identifier(value: Any) -> str | None:
    """An id of PayPal's that may stand in a path. None: it is none."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def event(value: Any) -> str | None:
    """An event's id that may stand in a path. None: it is none."""
    return value if isinstance(value, str) and _EVENT.fullmatch(value) else None


def page(value: Any, order_id: str) -> str | None:
    """The address of PayPal's page for the payer. It has the order's id in it, which may look like a card
    number."""
    if not isinstance(value, str) or redaction.address(value.replace(order_id, "")) is None:
        return None
    return value if len(value) <= _ADDRESS_MAX else None
