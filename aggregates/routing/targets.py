"""The strategies of a policy, and the accounts that a strategy or an action names."""

from collections.abc import Iterator

from aggregates.routing.policy import Action, Experiment, Geographic, Policy, Strategy, Weighted

Named = tuple[str, str]
"""The dotted path of a name in the document, and the account that it names."""


def strategies_of(policy: Policy) -> Iterator[tuple[str, Strategy]]:
    """Yields each strategy of the policy with its path: its own, those of rules, and those of arms."""
    if policy.strategy is not None:
        yield from _with_arms("strategy", policy.strategy)
    for place, rule in enumerate(policy.rules):
        if rule.then.strategy is not None:
            yield from _with_arms(f"rules.{place}.then.strategy", rule.then.strategy)


def _with_arms(where: str, strategy: Strategy) -> Iterator[tuple[str, Strategy]]:
    yield where, strategy
    if isinstance(strategy, Experiment):
        for name, arm in strategy.arms.items():
            if arm.strategy is not None:
                yield from _with_arms(f"{where}.arms.{name}.strategy", arm.strategy)


def named_by_strategy(where: str, strategy: Strategy) -> Iterator[Named]:
    """Yields the accounts that the strategy itself names, without those of its arms' strategies."""
    match strategy:
        case Weighted():
            yield from ((f"{where}.weights.{name}", name) for name in strategy.weights)
        case Geographic():
            for place, names in strategy.places.items():
                yield from ((f"{where}.places.{place}.{n}", name) for n, name in enumerate(names))
        case Experiment():
            for arm, its in strategy.arms.items():
                if its.account is not None:
                    yield f"{where}.arms.{arm}.account", its.account


def named_by_action(where: str, action: Action) -> Iterator[Named]:
    """Yields the accounts of a rule's lists and split."""
    for kind in ("only", "never", "prefer"):
        for place, name in enumerate(getattr(action, kind) or ()):
            yield f"{where}.{kind}.{place}", name
    for name in action.split or ():
        yield f"{where}.split.{name}", name


def named(policy: Policy) -> Iterator[Named]:
    """Yields every account that the policy names."""
    yield from ((f"accounts.{place}", name) for place, name in enumerate(policy.accounts))
    for where, strategy in strategies_of(policy):
        yield from named_by_strategy(where, strategy)
    for place, rule in enumerate(policy.rules):
        yield from named_by_action(f"rules.{place}.then", rule.then)
    for country, names in policy.residency.items():
        yield from ((f"residency.{country}.{place}", name) for place, name in enumerate(names))
    for place, commitment in enumerate(policy.commitments):
        yield f"commitments.{place}.account", commitment.account
