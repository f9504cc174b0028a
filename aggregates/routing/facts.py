"""The facts of a payment and of the accounts that may take it, as far as routing depends on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from uuid import UUID

ChargeKind = Literal["authorize", "sale"]
USUAL_METHOD: Final = "card"
"""How the customer pays where the merchant does not say so."""
Funding = Literal["credit", "debit", "prepaid", "charge", "unknown"]

_REGIONS: Final[Mapping[str, frozenset[str]]] = {
    # The European Economic Area: within it the interchange of consumer cards is capped, Regulation (EU)
    # 2015/751.
    "eea": frozenset(
        {
            *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE"),
            *("IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
        }
    ),
    "gb": frozenset({"GB", "GG", "IM", "JE", "GI"}),
    "us": frozenset({"US", "PR", "VI", "GU", "AS", "MP"}),
    "in": frozenset({"IN"}),
}
_REGION_OF: Final = {country: region for region, countries in _REGIONS.items() for country in countries}


def region_of(country: str | None) -> str:
    """Returns `eea`, `gb`, `us`, `in` or `other` for an ISO 3166-1 alpha-2 code; `unknown` without one."""
    if country is None:
        return "unknown"
    return _REGION_OF.get(country, "other")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """A card without its number. `bin`: the first 6 or 8 digits. `country`: the issuer's. `scheme`: in lower
    case, such as `visa`."""

    bin: str | None = None
    country: str | None = None
    scheme: str | None = None
    funding: Funding | None = None


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """A payment as a policy's conditions see it.

    `method`: such as `card` or `wallet`. `country`: the customer's. `attempt`: the number of the attempt that
    is to be routed, from 1.
    """

    payment_id: UUID
    merchant_id: str
    kind: ChargeKind
    amount_minor: int
    currency: str
    method: str = "card"
    country: str | None = None
    customer_id: str | None = None
    card: CardFacts = CardFacts()
    metadata: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments whose health describes this payment, narrowest first, the whole account last."""
        return segments(self.kind, self.method, self.currency, region_of(self.card.country or self.country))


def segments(kind: str, method: str, currency: str, region: str) -> tuple[str, ...]:
    """Returns the names of a transaction's segments, narrowest first: `sale/card/EUR/eea`, `sale/card/EUR`,
    `sale/card`, `sale` and the empty name of the whole account."""
    return (
        f"{kind}/{method}/{currency}/{region}",
        f"{kind}/{method}/{currency}",
        f"{kind}/{method}",
        kind,
        "",
    )


class Candidate(NamedTuple):
    """An account of the merchant that can take the payment. `fee_minor`: expected for it, in its currency;
    None: unknown, which is not free."""

    account: str
    fee_minor: int | None = None


class Exclusion(NamedTuple):
    """An account that may not take the payment now, and why: a code, and the reason in words."""

    account: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hints:
    """What a routing hook wants of one payment: the only accounts, those it may not go to, and those that
    come first. Empty: it wants nothing."""

    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
