"""Situations that a router may meet: built by hand, and made up by Hypothesis."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st

from aggregates.routing.choice import Situation
from aggregates.routing.facts import Candidate, CardFacts, Exclusion, Hints, PaymentFacts
from aggregates.routing.health import AccountHealth, Circuit, Health, SegmentHealth
from aggregates.routing.policy import Policy
from aggregates.routing.rules import ReadyPolicy

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
NAMES = ("a", "b", "c", "d", "e")
_SPACE = UUID("6b1f2f9e-53a6-4b1b-9d7a-111111111111")


def payment_number(number: int) -> UUID:
    return uuid5(_SPACE, str(number))


def facts(number: int = 0, **other: Any) -> PaymentFacts:
    fields: dict[str, Any] = {
        "payment_id": payment_number(number),
        "merchant_id": "demo",
        "kind": "sale",
        "amount_minor": 10_000,
        "currency": "EUR",
        "country": "DE",
        "customer_id": f"customer-{number}",
    }
    return PaymentFacts(**fields | other)


def policy(**document: Any) -> ReadyPolicy:
    return ReadyPolicy.of(Policy.model_validate(document), 7)


def health(**segments: SegmentHealth) -> Health:
    """Of accounts by name, each with one segment: the whole account."""
    return Health({name: AccountHealth(name, NOW, {}, {"": one}) for name, one in segments.items()})


def circuits(**states: Circuit) -> Health:
    return Health({name: AccountHealth(name, NOW, {"sale": one}) for name, one in states.items()})


def situation(names: str = "abc", **other: Any) -> Situation:
    """`names`: of the candidates, one letter each. `fees`: by name, in minor units."""
    fees: Mapping[str, int] = other.pop("fees", {})
    fields: dict[str, Any] = {
        "facts": other.pop("facts", None) or facts(),
        "candidates": [Candidate(name, fees.get(name)) for name in names],
        "now": NOW,
    }
    return Situation(**fields | other)


_name = st.sampled_from(NAMES)
_names = st.lists(_name, min_size=1, max_size=3, unique=True)
_count = st.integers(0, 60)
_ms = st.one_of(st.none(), st.floats(1, 10_000))
_share = st.floats(0, 1)
_segment = st.builds(
    SegmentHealth,
    approved=_count,
    declined=_count,
    failed=_count,
    unknown=_count,
    p95_ms=_ms,
    wins=st.floats(0, 500),
    losses=st.floats(0, 500),
)
_circuit = st.builds(
    Circuit, st.sampled_from(["closed", "open", "half_open"]), st.just(NOW), st.just("5 failures"), _share
)
_account_health = st.builds(
    AccountHealth,
    _name,
    st.just(NOW),
    st.dictionaries(st.just("sale"), _circuit),
    st.dictionaries(st.sampled_from(["", "sale", "sale/card/EUR/eea"]), _segment),
)
_measured = st.sampled_from(["metrics", "latency", "success", "adaptive"])
plain_strategies = st.one_of(
    st.fixed_dictionaries({"kind": _measured, "explore": st.sampled_from([0.0, 0.02, 0.5])}),
    st.sampled_from([{"kind": "cost"}, {"kind": "round_robin"}]),
    st.fixed_dictionaries(
        {
            "kind": st.just("weighted"),
            "weights": st.dictionaries(_name, st.floats(0.1, 10), min_size=1, max_size=4),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("geographic"),
            "places": st.dictionaries(st.sampled_from(["DE", "eea", "*"]), _names, min_size=1),
        }
    ),
)
_strategies = st.one_of(
    plain_strategies,
    st.builds(
        lambda first, second: {
            "kind": "experiment",
            "id": "test",
            "control": "x",
            "arms": {"x": {"share": 0.5, "account": first}, "y": {"share": 0.5, "strategy": second}},
        },
        _name,
        plain_strategies,
    ),
)
_actions = st.one_of(
    st.fixed_dictionaries({"only": _names}),
    st.fixed_dictionaries({"never": _names}),
    st.fixed_dictionaries({"prefer": _names}),
    st.fixed_dictionaries({"split": st.dictionaries(_name, _share, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"strategy": _strategies}),
)
_conditions = st.fixed_dictionaries(
    {},
    optional={
        "currency": st.lists(st.sampled_from(["EUR", "USD"]), min_size=1),
        "country": st.lists(st.sampled_from(["DE", "US"]), min_size=1),
        "attempt": st.lists(st.integers(1, 3), min_size=1),
        "amount": st.just([{"currency": "EUR", "min": 5_000}]),
        "time": st.just({"since": "08:00", "until": "20:00", "zone": "Europe/Berlin"}),
    },
)
_rules = st.lists(
    st.fixed_dictionaries({"when": _conditions, "then": _actions, "priority": st.integers(0, 3)}), max_size=4
)
documents = st.builds(
    lambda rules, strategy, accounts, residency: {
        "rules": [{**rule, "id": f"rule-{number}"} for number, rule in enumerate(rules)],
        "strategy": strategy,
        "accounts": accounts,
        "residency": residency,
    },
    _rules,
    st.one_of(st.none(), _strategies),
    st.lists(_name, unique=True, max_size=3),
    st.dictionaries(st.sampled_from(["DE", "IN"]), _names, max_size=2),
)
_hints = st.builds(
    Hints,
    only=st.lists(_name, unique=True, max_size=4).map(tuple),
    never=st.lists(_name, unique=True, max_size=2).map(tuple),
    prefer=st.lists(_name, unique=True, max_size=2).map(tuple),
)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    names = draw(st.lists(_name, unique=True, min_size=1, max_size=5))
    attempt = draw(st.integers(1, 3))
    return Situation(
        facts=facts(
            draw(st.integers(0, 10**6)),
            attempt=attempt,
            country=draw(st.sampled_from(["DE", "IN", None])),
            card=CardFacts(country=draw(st.sampled_from(["US", None]))),
        ),
        candidates=[Candidate(name, draw(st.one_of(st.none(), st.integers(0, 500)))) for name in names],
        now=NOW,
        excluded=[Exclusion("z", "declared", "z has no token")] if draw(st.booleans()) else [],
        tried=draw(st.lists(_name, min_size=attempt - 1, max_size=attempt - 1)),
        policy=ReadyPolicy.of(Policy.model_validate(draw(documents)), draw(st.integers(1, 9))),
        health=Health({name: draw(_account_health) for name in draw(st.lists(_name, unique=True))}),
        hints=draw(_hints),
        shares=draw(st.dictionaries(_name, _share, max_size=2)),
    )
