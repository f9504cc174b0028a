"""A small world: policies and payments of two currencies, two countries and three accounts. Its payments are
every combination that the policies' conditions can tell apart, so what holds for all of them is true."""

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from aggregates.routing.facts import CardFacts, PaymentFacts, region_of
from aggregates.routing.policy import Conditions, Policy, Rule

ACCOUNTS = {"a": frozenset({"EUR", "USD"}), "b": frozenset({"EUR"}), "c": frozenset({"EUR", "USD"})}
NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)

At = tuple[PaymentFacts, datetime]


PAYMENTS: list[At] = [
    (
        PaymentFacts(
            payment_id=UUID(int=1),
            merchant_id="shop",
            kind="sale",
            amount_minor=amount_minor,
            currency=currency,
            country=country,
            card=CardFacts(bin=bin_, country=card),
            metadata=metadata,
            attempt=attempt,
        ),
        # A Sunday and a Monday.
        datetime(2026, 11, day, hour, tzinfo=UTC),
    )
    for currency, amount_minor, country, card, bin_, metadata, attempt, day, hour in itertools.product(
        ["EUR", "USD"],
        [500, 1500, 2500],
        [None, "DE", "US"],
        [None, "DE", "US"],
        ["424242", "411111", "510510"],
        [{}, {"tier": "gold"}],
        [1, 2],
        [29, 30],
        [3, 12],
    )
]


def _some(*values: Any) -> Any:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


_AMOUNTS = st.lists(
    st.builds(
        lambda currency, least, below: {"currency": currency, "min": least, "below": below},
        st.sampled_from(["EUR", "USD"]),
        st.sampled_from([0, 1000, 2000]),
        st.sampled_from([1000, 2000, None]),
    ),
    min_size=1,
    max_size=2,
)
_WINDOWS = st.builds(
    lambda since, until, days: {"since": since, "until": until, "days": days},
    st.sampled_from(["06:00", "22:00"]),
    st.sampled_from(["06:00", "22:00"]),
    st.sampled_from([[7], [1, 7], [1, 2, 3, 4, 5, 6, 7]]),
)
_FIELDS: dict[str, Any] = {
    "amount": _AMOUNTS,
    "currency": _some("EUR", "USD"),
    "country": _some("DE", "US"),
    "card_country": _some("DE", "US"),
    "region": _some("eea", "us", "unknown"),
    "bin": _some("4", "4242", "51"),
    "metadata": st.just({"tier": "gold"}),
    "attempt": _some(1, 2),
    "time": _WINDOWS,
}
CONDITIONS = st.fixed_dictionaries({}, optional=_FIELDS)


@st.composite
def related(draw: Any) -> tuple[Any, Any]:
    """Two conditions on the same few fields, so that one often covers the other."""
    fields = draw(st.lists(st.sampled_from(sorted(_FIELDS)), min_size=1, max_size=2, unique=True))
    both = st.fixed_dictionaries({}, optional={name: _FIELDS[name] for name in fields})
    return draw(both), draw(both)


_NARROW = related().map(lambda pair: pair[0])
_ACTIONS = st.one_of(
    NAMES.map(lambda names: {"only": names}),
    NAMES.map(lambda names: {"never": names}),
    NAMES.map(lambda names: {"prefer": names}),
    st.sampled_from(["a", "b", "c"]).map(lambda name: {"split": {name: 1}}),
    st.just({"strategy": {"kind": "cost"}}),
    NAMES.map(lambda names: {"strategy": {"kind": "weighted", "weights": dict.fromkeys(names, 1)}}),
)


@st.composite
def policies(draw: Any) -> Policy:
    rules = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "when": st.one_of(_NARROW, CONDITIONS),
                    "then": _ACTIONS,
                    "priority": st.sampled_from([1, 1, 2, 3]),
                }
            ),
            max_size=6,
        )
    )
    residency = draw(st.dictionaries(st.sampled_from(["DE", "US"]), NAMES, max_size=2))
    numbered = [{"id": f"r{place}", **rule} for place, rule in enumerate(rules)]
    return Policy.model_validate({"rules": numbered, "residency": residency})


def holds(when: Conditions, at: At) -> bool:
    """The meaning of conditions, as policy.py documents it, written down without the code's own sets."""
    facts, now = at
    lists = (
        (when.currency, facts.currency),
        (when.method, facts.method),
        (when.country, facts.country),
        (when.card_country, facts.card.country),
        (when.region, region_of(facts.card.country or facts.country)),
        (when.attempt, facts.attempt),
        (when.scheme, facts.card.scheme),
        (when.customer, facts.customer_id),
    )
    if any(wanted is not None and value not in wanted for wanted, value in lists):
        return False
    if when.amount is not None and not any(
        one.currency == facts.currency
        and one.min <= facts.amount_minor
        and (one.below is None or facts.amount_minor < one.below)
        for one in when.amount
    ):
        return False
    if when.bin is not None and not any((facts.card.bin or "").startswith(its) for its in when.bin):
        return False
    if when.metadata is not None and not when.metadata.items() <= facts.metadata.items():
        return False
    if when.time is not None:
        clock = now.time()
        since, until = when.time.since, when.time.until
        within = since <= clock < until if since <= until else clock >= since or clock < until
        return within and now.isoweekday() in when.time.days
    return True


def in_order(policy: Policy) -> list[Rule]:
    return sorted(policy.rules, key=lambda rule: rule.priority)


def left(policy: Policy, at: At, *, without: str | None = None) -> set[str]:
    """The accounts that rules and residency leave to a payment. `without`: a rule that is not applied."""
    accounts = set(ACCOUNTS)
    if (country := at[0].country) in policy.residency:
        accounts &= set(policy.residency[country])
    for rule in policy.rules:
        if rule.id != without and holds(rule.when, at):
            if rule.then.only is not None:
                accounts &= set(rule.then.only)
            accounts -= set(rule.then.never or ())
    return accounts


def decider(policy: Policy, at: At) -> str | None:
    """The rule of all that hold which prefers, splits or takes a strategy first."""
    return next(
        (
            rule.id
            for rule in in_order(policy)
            if rule.then.only is None and rule.then.never is None and holds(rule.when, at)
        ),
        None,
    )
