"""What a PSP account charges for an operation, by its fee schedule. Pure.

Invariant: a fee that no rule states is unknown (None), never free; and the parts of a fee add up to it
exactly. Everything is counted in millionths of a minor unit and rounded once, the tax on it once more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import combinations
from typing import Final, Literal, assert_never, get_args

from aggregates.money import Money
from aggregates.routing.facts import CardFacts, Funding, PaymentFacts, region_of

FeeKind = Literal["authorize", "sale", "capture", "void", "refund", "dispute"]
FEE_KINDS: Final[tuple[FeeKind, ...]] = get_args(FeeKind)
Rounding = Literal["half_up", "half_even", "down"]
"""`half_up`: Stripe and Square. `half_even`: Airwallex. `down`: Braintree. docs/fees.md has their pages."""
MILLION: Final = 1_000_000
"""The millionths in a minor unit, and the parts per million in a whole."""


@dataclass(frozen=True, slots=True)
class FeeFacts:
    """An operation as a rule's conditions see it. `country`: the card's issuer's, or else the customer's,
    ISO 3166-1 alpha-2; None where nobody knows it. `region`: that country's, see `region_of`."""

    amount_minor: int
    currency: str
    method: str = "card"
    country: str | None = None
    scheme: str | None = None
    funding: Funding | None = None
    region: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "region", region_of(self.country))

    @classmethod
    def of(cls, payment: PaymentFacts) -> "FeeFacts":
        """Returns the facts of an operation for all of the payment's amount."""
        amount_minor, currency = payment.amount_minor, payment.currency
        return cls.with_card(amount_minor, currency, payment.method, payment.country, payment.card)

    @classmethod
    def with_card(
        cls, amount_minor: int, currency: str, method: str, country: str | None, card: CardFacts
    ) -> "FeeFacts":
        """`country`: the customer's, where the card's is not known."""
        return cls(amount_minor, currency, method, card.country or country, card.scheme, card.funding)


@dataclass(frozen=True, slots=True)
class Price:
    """A price from a monthly volume on. `rate_ppm`: of the amount; 1.5 % is 15,000. `fixed`: by currency, in
    millionths of its minor unit: a contract may say 0.0195 USD. `from_minor`: the volume from which it
    counts, in the rule's currency."""

    rate_ppm: int = 0
    fixed: Mapping[str, int] = field(default_factory=dict)
    from_minor: int = 0


@dataclass(frozen=True, slots=True)
class FeeRule:
    """One line of a price list.

    The conditions, `methods` to `fundings`: an operation fits if it has one of the values of each; an empty
    one is no condition. `since`, `until`: days in UTC, the first within and the other not. `prices`: one, or
    one for each tier by volume, the lowest first, from 0. `least`, `most`: by currency, in minor units,
    before tax. `tax_ppm`: of the fee, such as India's GST.
    """

    id: str
    kinds: frozenset[FeeKind]
    prices: tuple[Price, ...] = (Price(),)
    methods: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    schemes: frozenset[str] = frozenset()
    fundings: frozenset[str] = frozenset()
    since: date = date.min
    until: date = date.max
    least: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    tax_ppm: int = 0
    rounding: Rounding = "half_up"

    @property
    def specificity(self) -> int:
        """The number of its conditions; a country counts as two, since it is narrower than a region. Dates
        are none."""
        given = (self.methods, self.currencies, self.regions, self.schemes, self.fundings)
        return sum(1 for values in given if values) + 2 * bool(self.countries)

    def fits(self, facts: FeeFacts, on: date) -> bool:
        """True if its conditions hold for this operation on this day, if it is of one of its kinds."""
        return (
            (not self.currencies or facts.currency in self.currencies)
            and (not self.methods or facts.method in self.methods)
            and (not self.countries or facts.country in self.countries)
            and (not self.regions or facts.region in self.regions)
            and (not self.schemes or facts.scheme in self.schemes)
            and (not self.fundings or facts.funding in self.fundings)
            and self.since <= on < self.until
        )

    def overlaps(self, other: "FeeRule") -> bool:
        """True if some operation fits both."""
        pairs = (
            (self.methods, other.methods),
            (self.currencies, other.currencies),
            (self.schemes, other.schemes),
            (self.fundings, other.fundings),
            (self.countries, other.countries),
            (self._all_regions(), other._all_regions()),
        )
        return (
            bool(self.kinds & other.kinds)
            and all(not mine or not its or mine & its for mine, its in pairs)
            and max(self.since, other.since) < min(self.until, other.until)
        )

    def _all_regions(self) -> frozenset[str]:
        return self.regions or frozenset(map(region_of, self.countries))

    def price(self, volume_minor: int | None) -> Price | None:
        """Returns the price at this volume; None: it depends on the volume, which is unknown."""
        if len(self.prices) == 1:
            return self.prices[0]
        if volume_minor is None:
            return None
        return [price for price in self.prices if price.from_minor <= volume_minor][-1]

    def fee_currency(self, price: Price, currency: str) -> str | None:
        """Returns the currency in which this price of a payment is: the payment's own wherever the rule
        states all its amounts in it; another one where it states only that one, and no percentage. None: it
        would take an exchange rate, which nobody knows before the settlement."""
        stated = [amounts for amounts in (price.fixed, self.least, self.most) if amounts]
        for amounts in stated:
            if currency not in amounts:
                break
        else:
            return currency
        codes = {code for currencies in stated for code in currencies}
        return codes.pop() if len(codes) == 1 and not price.rate_ppm else None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a fee, in millionths of a minor unit; `rounding` and `most` may be below 0."""

    name: Literal["percent", "fixed", "least", "most", "rounding", "tax"]
    millionths: int


@dataclass(frozen=True, slots=True)
class Fees:
    """What an operation costs. `rule`: the id of the rule that says so. `total`: with tax; its currency is
    the fee's, which may be another than the payment's. `parts`: those that are not 0, which add up to it."""

    rule: str
    total: Money
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The price list of a PSP account. Of the rules that fit an operation, the most specific one counts;
    `conflicts` finds those between which that does not decide."""

    rules: tuple[FeeRule, ...]
    _of_kind: Mapping[FeeKind, tuple[FeeRule, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The id breaks a tie that `conflicts` would have refused, so that the order of a file never decides.
        ranked = sorted(self.rules, key=lambda rule: (-rule.specificity, rule.id))
        found = {kind: tuple(rule for rule in ranked if kind in rule.kinds) for kind in FEE_KINDS}
        object.__setattr__(self, "_of_kind", found)

    def rule_for(self, kind: FeeKind, facts: FeeFacts, on: date) -> FeeRule | None:
        """Returns the rule that counts for the operation; None where none fits it."""
        for rule in self._of_kind[kind]:
            if rule.fits(facts, on):
                return rule
        return None

    def conflicts(self) -> Iterator[tuple[FeeRule, FeeRule]]:
        """Yields each two rules that fit the same operation and are equally specific."""
        for one, other in combinations(self.rules, 2):
            if one.specificity == other.specificity and one.overlaps(other):
                yield one, other


@dataclass(frozen=True, slots=True)
class FeeBook:
    """The price lists of all accounts, by account, and what was charged at each since the month began, in
    minor units by account and currency: what is live of an expected fee. An account without a price list has
    unknown fees. `volumes`: None: unknown; otherwise an account that it does not name has charged nothing."""

    schedules: Mapping[str, FeeSchedule] = field(default_factory=dict)
    volumes: Mapping[tuple[str, str], int] | None = None

    def fees(self, account: str, kind: FeeKind, facts: FeeFacts, at: datetime) -> Fees | None:
        """Returns what the account charges for the operation; see `calculate_fees`."""
        volume_minor = self._volume_minor(account, facts.currency)
        return calculate_fees(self.schedules.get(account), kind, facts, at, volume_minor)

    def expected(self, account: str, payment: PaymentFacts, at: datetime) -> int | None:
        """Returns what the payment is expected to cost at the account; see `expected_fee`."""
        volume_minor = self._volume_minor(account, payment.currency)
        return expected_fee(self.schedules.get(account), payment, at, volume_minor)

    def _volume_minor(self, account: str, currency: str) -> int | None:
        # At the beginning of a month nothing is named: the first tier counts then, and not "unknown".
        return None if self.volumes is None else self.volumes.get((account, currency), 0)


NO_FEES: Final = FeeBook()
"""The book in which every fee is unknown."""


def calculate_fees(
    schedule: FeeSchedule | None,
    kind: FeeKind,
    facts: FeeFacts,
    at: datetime,
    volume_minor: int | None = None,
) -> Fees | None:
    """Returns what the account charges for the operation. None: unknown, never free.

    `at`: in UTC. `volume_minor`: what was charged at the account in this currency since the month began;
    None: unknown.
    """
    found = None if schedule is None else _priced(schedule, kind, facts, at.date(), volume_minor)
    if found is None:
        return None
    rule, price, currency = found
    percent, fixed = facts.amount_minor * price.rate_ppm, price.fixed.get(currency, 0)
    least, most = rule.least.get(currency), rule.most.get(currency)
    total = _total_minor(rule, price, currency, facts.amount_minor)
    fee = _fee_minor(rule, price, currency, facts.amount_minor)
    bounded = _bounded(percent + fixed, least, most)
    raised = bounded - percent - fixed
    parts = (
        Part("percent", percent),
        Part("fixed", fixed),
        Part("least" if raised > 0 else "most", raised),
        Part("rounding", fee * MILLION - bounded),
        Part("tax", (total - fee) * MILLION),
    )
    return Fees(rule.id, Money(total, currency), tuple(part for part in parts if part.millionths))


def expected_fee(
    schedule: FeeSchedule | None, payment: PaymentFacts, at: datetime, volume_minor: int | None = None
) -> int | None:
    """Returns what the payment is expected to cost at the account if it is approved, in minor units of its
    own currency: a sale; or an authorization and the capture of all of it. None: unknown, never free, also
    where the fee is in another currency. `at`, `volume_minor`: see `calculate_fees`."""
    if schedule is None:
        return None
    kinds: tuple[FeeKind, ...] = ("sale",) if payment.kind == "sale" else ("authorize", "capture")
    facts, on, total = FeeFacts.of(payment), at.date(), 0
    for kind in kinds:
        found = _priced(schedule, kind, facts, on, volume_minor)
        if found is None or found[2] != payment.currency:
            return None
        total += _total_minor(*found, payment.amount_minor)
    return total


def _priced(
    schedule: FeeSchedule, kind: FeeKind, facts: FeeFacts, on: date, volume_minor: int | None
) -> tuple[FeeRule, Price, str] | None:
    rule = schedule.rule_for(kind, facts, on)
    price = None if rule is None else rule.price(volume_minor)
    currency = None if rule is None or price is None else rule.fee_currency(price, facts.currency)
    return None if rule is None or price is None or currency is None else (rule, price, currency)


def _total_minor(rule: FeeRule, price: Price, currency: str, amount_minor: int) -> int:
    # The tax is of the rounded fee: Razorpay takes 24 paise of 10 rupees, 20 and a tax of 4.
    fee = _fee_minor(rule, price, currency, amount_minor)
    return fee + _rounded(fee * rule.tax_ppm, rule.rounding)


def _fee_minor(rule: FeeRule, price: Price, currency: str, amount_minor: int) -> int:
    exact = amount_minor * price.rate_ppm + price.fixed.get(currency, 0)
    bounded = _bounded(exact, rule.least.get(currency), rule.most.get(currency))
    return _rounded(bounded, rule.rounding)


def _bounded(millionths: int, least_minor: int | None, most_minor: int | None) -> int:
    if least_minor is not None:
        millionths = max(millionths, least_minor * MILLION)
    return millionths if most_minor is None else min(millionths, most_minor * MILLION)


def _rounded(millionths: int, how: Rounding) -> int:
    whole, rest = divmod(millionths, MILLION)
    match how:
        case "half_up":
            return whole + (2 * rest >= MILLION)
        case "half_even":
            return whole + (2 * rest > MILLION or (2 * rest == MILLION and whole % 2 == 1))
        case "down":
            return whole
        case _:
            assert_never(how)
