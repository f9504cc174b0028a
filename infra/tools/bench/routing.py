"""Times the router's decisions: 5 PSP accounts, 50 rules, and health of every account, in one process.

The payments differ in amount, currency, country, card and customer, as made from the seed; the rules are of
every kind of condition. Most of them do not hold for a payment, so nothing ends the walk early.
"""

import gc
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from aggregates.routing.choice import Situation, choose
from aggregates.routing.facts import Candidate, CardFacts, PaymentFacts
from aggregates.routing.health import AccountHealth, Circuit, Health, SegmentHealth
from aggregates.routing.policy import Policy
from aggregates.routing.rules import ReadyPolicy
from infra.tools.bench.machine import processor

ACCOUNTS: Final = ("stripe-eu", "adyen-eu", "paypal", "braintree-us", "razorpay-in")
RULES: Final = 50
_CURRENCIES: Final = ("EUR", "USD", "GBP", "INR", "SEK")
_COUNTRIES: Final = ("DE", "US", "GB", "IN", "SE", "FR", "ES")
_NOW: Final = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def bench_routing(payments: int, seed: int, strategy: str) -> dict[str, Any]:
    """Returns the times of `payments` decisions in microseconds: p50 and p99 of the choice alone, and of the
    choice with its record."""
    chance = random.Random(seed)  # noqa: S311  # makes up payments
    policy, health = ReadyPolicy.of(_policy(strategy), 1), _health(chance)
    situations = [_situation(chance, policy, health) for _ in range(payments)]
    for situation in situations[: payments // 10]:
        choose(situation).record()
    # As in the command worker, docs/adr/0007: what is there already is not looked through again.
    gc.collect()
    gc.freeze()
    alone, explained = [], []
    for situation in situations:
        began = time.perf_counter_ns()
        decision = choose(situation)
        chosen = time.perf_counter_ns()
        decision.record()
        explained.append(time.perf_counter_ns() - began)
        alone.append(chosen - began)
    gc.unfreeze()
    return {
        "payments": payments,
        "accounts": len(ACCOUNTS),
        "rules": RULES,
        "strategy": strategy,
        "decision_us": {"without_explanation": _spread(alone), "with_explanation": _spread(explained)},
        "machine": processor(),
    }


def _spread(times_ns: list[int]) -> dict[str, float]:
    ordered = sorted(times_ns)
    return {f"p{part}": round(ordered[len(ordered) * part // 100] / 1000, 1) for part in (50, 99)}


def _policy(strategy: str) -> Policy:
    return Policy.model_validate({"strategy": {"kind": strategy}, "rules": list(_rules())})


def _rules() -> Iterator[dict[str, Any]]:
    conditions: list[dict[str, Any]] = [
        {"amount": [{"currency": "EUR", "min": 90_000}, {"currency": "USD", "min": 95_000}]},
        {"currency": ["SEK"], "attempt": [2, 3]},
        {"country": ["IN", "SE"], "method": ["wallet"]},
        {"card_country": ["US"], "scheme": ["amex"]},
        {"bin": ["411111", "55", "34"], "currency": ["INR"]},
        {"metadata": {"channel": "kiosk", "tier": "gold"}},
        {"region": ["us"], "time": {"since": "22:00", "until": "06:00", "zone": "America/New_York"}},
        {"customer": ["customer-7", "customer-8"]},
        {"method": ["card"], "amount": [{"currency": "GBP", "below": 500}]},
        {
            "scheme": ["visa"],
            "region": ["eea"],
            "attempt": [1],
            "amount": [{"currency": "EUR", "min": 50_000}],
        },
    ]
    actions: list[dict[str, Any]] = [
        {"prefer": ["adyen-eu", "stripe-eu"]},
        {"never": ["razorpay-in"]},
        {"split": {"stripe-eu": 0.5, "adyen-eu": 0.5}},
        {"strategy": {"kind": "cost"}},
        {"only": ["stripe-eu", "adyen-eu", "braintree-us"]},
    ]
    for number in range(RULES):
        yield {
            "id": f"rule-{number}",
            "priority": number,
            "when": conditions[number % len(conditions)],
            "then": actions[number // len(conditions) % len(actions)],
        }


def _health(chance: random.Random) -> Health:
    accounts = {}
    for name in ACCOUNTS:
        segments = {}
        for segment in ("", "sale", "sale/card", *(f"sale/card/{currency}" for currency in _CURRENCIES)):
            approved = chance.randint(80, 98)
            segments[segment] = SegmentHealth(
                approved=approved,
                declined=100 - approved,
                p50_ms=chance.uniform(100, 400),
                p95_ms=chance.uniform(400, 2000),
                p99_ms=chance.uniform(2000, 5000),
                score=approved / 100,
                wins=10.0 * approved,
                losses=10.0 * (100 - approved),
            )
        accounts[name] = AccountHealth(name, _NOW, {"sale": Circuit("closed", _NOW, "")}, segments)
    return Health(accounts)


def _situation(chance: random.Random, policy: ReadyPolicy, health: Health) -> Situation:
    facts = PaymentFacts(
        payment_id=UUID(int=chance.getrandbits(128)),
        merchant_id="demo",
        kind="sale",
        amount_minor=chance.randint(100, 100_000),
        currency=chance.choice(_CURRENCIES),
        country=chance.choice(_COUNTRIES),
        customer_id=f"customer-{chance.randint(1, 10_000)}",
        card=CardFacts(
            chance.choice(("41111111", "55555555", "34343434")),
            chance.choice(_COUNTRIES),
            chance.choice(("visa", "mastercard", "amex")),
            "credit",
        ),
        metadata={"channel": chance.choice(("web", "app", "kiosk"))},
    )
    return Situation(
        facts=facts,
        candidates=[Candidate(name, chance.randint(10, 400)) for name in ACCOUNTS],
        now=_NOW,
        policy=policy,
        health=health,
    )
