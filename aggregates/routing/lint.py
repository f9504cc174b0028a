"""Finds what is valid in a policy and still wrong. Pure.

Invariant: each finding is true of the policy, whatever payments come, but for `unknown_value`
(known_values.py); what the lint cannot tell it does not report.
"""

from collections.abc import Iterator
from datetime import date
from difflib import get_close_matches
from math import fsum, isclose

from aggregates.routing.coverage import ANY
from aggregates.routing.findings import Accounts, Finding, error, listed, warning
from aggregates.routing.known_values import unknown_values
from aggregates.routing.lint_rules import Exclusions, about_rules
from aggregates.routing.policy import Commitment, Experiment, Metrics, Policy, Strategy, Weighted
from aggregates.routing.targets import named, strategies_of


def lint(policy: Policy, accounts: Accounts | None, today: date) -> list[Finding]:
    """Returns what is wrong with a policy, errors first.

    `accounts`: those of the merchant; None: they are not known, and nothing is said about them. `today`: in
    UTC, for what is over.
    """
    exclusions = Exclusions(policy, accounts)
    found = [
        *_unknown_accounts(policy, accounts),
        *about_rules(policy, accounts, exclusions),
        *_splits(policy),
        *_empty_texts(policy),
        *unknown_values(policy),
        *(finding for where, strategy in strategies_of(policy) for finding in _about(where, strategy)),
        *_experiments_with_one_id(policy),
        *_commitments(policy, accounts, today, exclusions),
    ]
    return sorted(found, key=lambda finding: finding.severity)


def _unknown_accounts(policy: Policy, accounts: Accounts | None) -> Iterator[Finding]:
    if accounts is None:
        return
    for where, name in named(policy):
        if name not in accounts:
            near = get_close_matches(name, accounts, 1)
            known = f"there are {listed(accounts)}" if accounts else "the merchant has none"
            yield error(
                "unknown_account",
                where,
                f"the merchant has no account {name}",
                f"did you mean {near[0]}?" if near else f"{known}",
            )


def _splits(policy: Policy) -> Iterator[Finding]:
    for place, rule in enumerate(policy.rules):
        if (split := rule.then.split) is None:
            continue
        where = f"rules.{place}.then.split"
        if not isclose(total := fsum(split.values()), 1, abs_tol=1e-6):
            yield error(
                "sum", where, f"the shares of rule {rule.id} add up to {total:g}", "shares add up to 1"
            )
        for name, share in split.items():
            if share == 0:
                yield warning(
                    "empty", f"{where}.{name}", f"{name} has a share of 0", "leave it out, or give it a share"
                )


def _empty_texts(policy: Policy) -> Iterator[Finding]:
    for place, rule in enumerate(policy.rules):
        where = f"rules.{place}.when"
        if any(not text.strip() for text in rule.when.customer or ()):
            yield error(
                "empty", f"{where}.customer", "a customer's id is empty", "write the id, or delete it"
            )
        for key, value in (rule.when.metadata or {}).items():
            if not key.strip():
                yield error("empty", f"{where}.metadata", "a name is empty", "write the metadata's name")
            elif not value.strip():
                yield warning(
                    "empty",
                    f"{where}.metadata.{key}",
                    f"rule {rule.id} holds only where {key} was sent as an empty text",
                    "write the value",
                )


def _about(where: str, strategy: Strategy) -> Iterator[Finding]:
    match strategy:
        case Metrics():
            total = fsum((strategy.success, strategy.latency, strategy.cost))
            if not isclose(total, 1, abs_tol=1e-6):
                shown = f"success {strategy.success:g}, latency {strategy.latency:g}, cost {strategy.cost:g}"
                yield warning(
                    "sum",
                    where,
                    f"the weights add up to {total:g}: {shown}. Each counts relative to that sum",
                    "write all three, so that they add up to 1",
                )
        case Weighted():
            yield from _about_weights(where, strategy)
        case Experiment():
            yield from _about_arms(where, strategy)


def _about_weights(where: str, strategy: Weighted) -> Iterator[Finding]:
    weights = strategy.weights
    total = fsum(weights.values())
    most, least = max(weights.values()), min(weights.values())
    if most <= 1 and not isclose(total, 1, abs_tol=1e-6):
        shown = ", ".join(f"{name} gets {weight / total:.1%}" for name, weight in weights.items())
        yield warning("sum", f"{where}.weights", f"the weights add up to {total:g}: {shown}", "let them be 1")
    elif most > 1 and 0 < least < 1:
        yield warning(
            "sum",
            f"{where}.weights",
            "some weights are shares below 1 and some are above it: each counts relative to their sum",
            f"write all as shares that add up to 1; the smallest now gets {least / total:.2%}",
        )
    for name, weight in weights.items():
        if weight == 0:
            yield warning(
                "empty",
                f"{where}.weights.{name}",
                f"{name} has a weight of 0",
                "leave it out, or give it one",
            )


def _about_arms(where: str, strategy: Experiment) -> Iterator[Finding]:
    arms = strategy.arms
    if not isclose(total := fsum(arm.share for arm in arms.values()), 1, abs_tol=1e-6):
        yield error(
            "sum",
            f"{where}.arms",
            f"the arms' shares of experiment {strategy.id} add up to {total:g}",
            "shares add up to 1",
        )
    if arms[strategy.control].share == 0:
        yield error(
            "control",
            f"{where}.arms.{strategy.control}.share",
            f"the control {strategy.control} of experiment {strategy.id} gets no customers, so there is nothing to "
            "compare the others with",
            "give the control a share",
        )
    for name, arm in arms.items():
        if arm.share == 0 and name != strategy.control:
            yield warning(
                "empty", f"{where}.arms.{name}.share", f"the arm {name} gets no customers", "leave it out"
            )
        if name != strategy.control and (arm.account, arm.strategy) == (
            arms[strategy.control].account,
            arms[strategy.control].strategy,
        ):
            yield warning(
                "arms_alike",
                f"{where}.arms.{name}",
                f"the arm {name} does the same as the control {strategy.control}",
                "give it another account or strategy",
            )


def _experiments_with_one_id(policy: Policy) -> Iterator[Finding]:
    seen: dict[str, Experiment] = {}
    for where, strategy in strategies_of(policy):
        if isinstance(strategy, Experiment) and seen.setdefault(strategy.id, strategy) != strategy:
            yield error(
                "arms_differ",
                f"{where}.id",
                f"two experiments with other arms are both called {strategy.id}: their results would be mixed",
                "give one of them another id",
            )


def _commitments(
    policy: Policy, accounts: Accounts | None, today: date, exclusions: Exclusions
) -> Iterator[Finding]:
    for place, commitment in enumerate(policy.commitments):
        where = f"commitments.{place}"
        if commitment.by < today:
            yield warning(
                "commitment",
                f"{where}.by",
                f"the commitment to {commitment.account} ended on {commitment.by}: it routes nothing any more",
                "delete it, or write the next one",
            )
        elif (reason := _impossible(commitment, accounts, exclusions)) is not None:
            yield error(
                "commitment",
                where,
                f"the commitment to {commitment.account} cannot be met: {reason}",
                "mend that, or delete the commitment",
            )


def _impossible(commitment: Commitment, accounts: Accounts | None, exclusions: Exclusions) -> str | None:
    account, currency = commitment.account, commitment.currency
    if account in exclusions.excluded(ANY, {account}):
        return "the rules exclude it for every payment"
    if accounts is not None and account in accounts and currency is not None:
        return None if currency in accounts[account] else f"it does not take {currency}"
    return None
