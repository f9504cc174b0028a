"""Chooses the PSP account of the next attempt. A pure function of what is recorded with it: the payment's
facts, the accounts, the merchant's policy, their health and fees, and the attempts so far.

Invariants: each account that is not a candidate has a reason; the same inputs give the same choice; what is
chosen is never excluded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from aggregates.routing import strategies
from aggregates.routing.facts import Candidate, Exclusion, Hints, PaymentFacts
from aggregates.routing.health import AccountHealth, Health
from aggregates.routing.policy import Policy, Strategy
from aggregates.routing.rules import NO_POLICY, ReadyPolicy, ReadyRule
from aggregates.routing.strategies import Ranked, Ranking

FOR_NOW: Final = frozenset({"circuit_open", "circuit_half_open", "policy_unreadable"})
"""The codes of exclusions that pass by themselves."""
_NO_HINTS: Final = Hints()


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a choice depends on.

    `candidates`: in the order of the settings. `excluded`: the merchant's other accounts, which cannot take
    the payment at all. `tried`: the accounts of earlier attempts, oldest first. `shares`: of the payments
    that a commitment needs at an account, in [0, 1].
    """

    facts: PaymentFacts
    candidates: Sequence[Candidate]
    now: datetime
    excluded: Sequence[Exclusion] = ()
    tried: Sequence[str] = ()
    policy: ReadyPolicy = NO_POLICY
    health: Health = field(default_factory=Health)
    hints: Hints = _NO_HINTS
    shares: Mapping[str, float] = field(default_factory=dict)


class Decision(NamedTuple):
    """A choice and how it came about. `account` None: none is left. `probe`: the attempt tests a half-open
    circuit. `strategy`: what ranked the candidates; `order` where only their order did, `in_turn` where all
    were tried. `rules`: those that held. `draw`: in [0, 1), what chose by the propensities. `known`: the
    health of each account, None where it is not fresh. `applied`: the rule whose `prefer`, `split` or
    `strategy` counted. `bent`: by the volume commitments."""

    account: str | None
    situation: Situation
    excluded: Mapping[str, Exclusion]
    ranked: Sequence[Ranked]
    ranking: Ranking | None
    strategy: str
    rules: tuple[str, ...]
    draw: float
    known: Mapping[str, AccountHealth | None]
    probe: bool = False
    applied: ReadyRule | None = None
    bent: bool = False

    @property
    def elsewhere(self) -> bool:
        """True if the chosen account was not tried before."""
        return self.account is not None and self.account not in self.situation.tried

    @property
    def may_pass(self) -> bool:
        """True if an account is excluded only for now, so that it is worth waiting for."""
        return any(one.code in FOR_NOW for one in self.excluded.values())

    @property
    def reasons(self) -> str:
        """Why each account that is excluded may not take the payment, in words."""
        return "; ".join(f"{one.account}: {one.detail}" for one in self.excluded.values())

    @property
    def words(self) -> str:
        """How the account was chosen, in words for the merchant."""
        if (by := self._wish) is not None:
            return f"{self.account}, {by} (routing policy {self.situation.policy.version})"
        match self.strategy:
            case "order" if self.situation.policy.order:
                version = self.situation.policy.version
                return f"{self.account}, by the order of the accounts (routing policy {version})"
            case "order" if self.situation.tried:
                return "the next of the merchant's PSP accounts"
            case "order" if self.excluded:
                return "the first of the merchant's PSP accounts that may take it"
            case "order":
                return "the merchant's first PSP account"
            case "in_turn":
                return f"{self.account}, the next in turn"
            case "probe":
                return f"{self.account}, as a test of its half-open circuit"
        return f"{self.account}, by {self.strategy} (routing policy {self.situation.policy.version})"

    @property
    def _wish(self) -> str | None:
        """What else than the policy's strategy and the order of the accounts had a say, in words."""
        if self.strategy in {"none", "in_turn", "probe"}:
            return None
        if self.account in self.situation.hints.prefer:
            return "preferred by a routing hook"
        if self.bent:
            return f"by {self.strategy} and the volume commitments"
        if (rule := self.applied) is None:
            return None
        if rule.then.split is not None:
            return f"by the split of rule {rule.id}"
        if rule.then.strategy is not None:
            return f"by {self.strategy}, as rule {rule.id} says"
        return f"preferred by rule {rule.id}" if self.account in (rule.then.prefer or ()) else None

    def record(self) -> dict[str, Any]:
        """Returns the decision as JSON values, with every input that is not in the payment or its policy:
        `recompute` makes the same decision of it."""
        situation, ranking, known = self.situation, self.ranking, self.known
        chances = dict(zip(ranking.order, ranking.propensities, strict=True)) if ranking is not None else {}
        scores = ranking.scores if ranking is not None else {}
        fresh = len([one for one in self.ranked if known[one.account] is not None])
        made: dict[str, Any] = {
            "account": self.account,
            "policy_version": situation.policy.version,
            "strategy": self.strategy,
            "health": "fresh" if fresh == len(self.ranked) else "partial" if fresh else "none",
            "attempt": situation.facts.attempt,
            "draw": self.draw,
            "accounts": [self._entry(one, known[one.account], scores, chances) for one in self.ranked],
        }
        if not situation.policy.readable:
            made["policy"] = "unreadable"
        if self.rules:
            made["rules"] = list(self.rules)
        if situation.excluded:
            made["excluded"] = [[one.account, one.code, one.detail] for one in situation.excluded]
        if situation.tried:
            made["tried"] = list(situation.tried)
        if self.probe:
            made["probe"] = True
        if ranking is not None and ranking.experiment is not None:
            made["experiment"] = ranking.experiment.as_json()
        if situation.policy.stopped:
            made["stopped"] = {name: sorted(arms) for name, arms in situation.policy.stopped.items()}
        if situation.hints != _NO_HINTS:
            hints = situation.hints
            made["hints"] = {name: list(getattr(hints, name)) for name in ("only", "never", "prefer")}
        if situation.shares:
            made["shares"] = dict(situation.shares)
        return made

    def _entry(
        self,
        one: Ranked,
        known: AccountHealth | None,
        scores: Mapping[str, float],
        chances: Mapping[str, float],
    ) -> dict[str, Any]:
        account, fee_minor, segment, health = one
        entry: dict[str, Any] = {"account": account}
        if fee_minor is not None:
            entry["fee_minor"] = fee_minor
        if known is not None:
            entry["known"] = True
            circuit = known.circuits.get(self.situation.facts.kind)
            if circuit is not None and circuit.state != "closed":
                entry["circuit"] = [circuit.state, circuit.probe_share, circuit.reason]
        if health is not None:
            entry["segment"] = segment
            entry["outcomes"] = [health.approved, health.declined, health.failed, health.unknown]
            if health.p95_ms is not None:
                entry["p95_ms"] = health.p95_ms
            if health.wins or health.losses:
                entry["arm"] = [health.wins, health.losses]
        if (excluded := self.excluded.get(account)) is not None:
            entry["excluded"] = [excluded.code, excluded.detail]
        else:
            if account in scores:
                entry["score"] = scores[account]
            entry["propensity"] = chances.get(account, 0.0)
        return entry


def draws(facts: PaymentFacts) -> tuple[float, float]:
    """Returns two numbers in [0, 1), the same for each call about one attempt of one payment: the first
    chooses by the propensities, the second decides whether the attempt probes."""
    made = blake2b(facts.payment_id.bytes + facts.attempt.to_bytes(2), digest_size=16).digest()
    # 53 bits are what a float holds: the quotient stays below 1.
    return (int.from_bytes(made[:8]) >> 11) / 2**53, (int.from_bytes(made[8:]) >> 11) / 2**53


def choose(situation: Situation) -> Decision:
    """Applies the hard filters, then the rules, then the strategy, and then the order of the accounts."""
    facts, policy = situation.facts, situation.policy
    draw, probe_draw = draws(facts)
    candidates = _in_order(situation)
    names = [one.account for one in candidates]
    known = situation.health.fresh(names, situation.now)
    ranked = _figures(facts.segments, candidates, known)
    excluded = {one.account: one for one in situation.excluded}
    if not policy.readable:
        detail = "this release cannot read the merchant's routing policy, which may rule it out"
        excluded |= {
            name: Exclusion(name, "policy_unreadable", detail) for name in names if name not in excluded
        }
    _by_residency(policy.policy, facts, names, excluded)
    held = policy.rules_that_hold(facts, situation.now)
    _by_hints(situation.hints, names, excluded)
    for rule in held:
        if rule.then.only is not None:
            _exclude(_without(rule.then.only, names), excluded, f"rule {rule.id}", "rule")
        elif rule.then.never is not None:
            _exclude(_among(rule.then.never, names), excluded, f"rule {rule.id}", "rule")
    probing = _by_circuits(facts, known, excluded, probe_draw)
    open_to_it = [one for one in ranked if one.account not in excluded]
    untried = [one for one in open_to_it if one.account not in situation.tried]
    ids = tuple(rule.id for rule in held)

    applied = next((rule for rule in held if rule.then.only is None and rule.then.never is None), None)

    def decided(
        name: str | None, ranking: Ranking | None, strategy: str, *, probe: bool = False, bent: bool = False
    ) -> Decision:
        return Decision(
            name, situation, excluded, ranked, ranking, strategy, ids, draw, known, probe, applied, bent
        )

    if not open_to_it:
        return decided(None, None, "none")
    if not untried:
        turn = _next_in_turn([one.account for one in open_to_it], names, situation.tried[-1])
        return decided(turn, Ranking([turn], [1.0]), "in_turn", probe=turn in probing)
    if tests := [one.account for one in untried if one.account in probing]:
        first = tests[0]
        return decided(first, Ranking([first], [probing[first]]), "probe", probe=True)
    wanted = None if applied is None else applied.then
    strategy = policy.policy.strategy
    if wanted is not None and wanted.strategy is not None:
        strategy = wanted.strategy
    if wanted is not None and wanted.split is not None:
        ranking, kind = strategies.share(wanted.split, untried), "split"
    else:
        ranking = strategies.rank(strategy, untried, facts, policy.stopped)
        kind = _name_of(strategy)
    by_strategy = ranking
    if wanted is not None and wanted.prefer is not None:
        ranking = strategies.prefer(wanted.prefer, ranking)
    unbent = ranking
    ranking = _bend(ranking, situation.shares)
    bent = ranking is not unbent
    if situation.hints.prefer:
        ranking = strategies.prefer(situation.hints.prefer, ranking)
    if ranking is not by_strategy and ranking.experiment is not None:
        # Its arm did not decide, or not alone: it counts for none.
        ranking = ranking._replace(experiment=ranking.experiment.unserved())
    return decided(_drawn(ranking, draw), ranking, kind, bent=bent)


def _name_of(strategy: Strategy | None) -> str:
    return "order" if strategy is None else strategy.kind


def _in_order(situation: Situation) -> list[Candidate]:
    order = situation.policy.order
    if not order:
        return list(situation.candidates)
    # Accounts that the policy does not name follow, in the order of the settings.
    return sorted(situation.candidates, key=lambda one: order.get(one.account, len(order)))


def _figures(
    segments: Sequence[str], candidates: Sequence[Candidate], known: Mapping[str, AccountHealth | None]
) -> list[Ranked]:
    ranked = []
    for account, fee_minor in candidates:
        health = known[account]
        found = None if health is None else strategies.judged(segments, health.segments)
        segment, figures = (None, None) if found is None else found
        ranked.append(Ranked(account, fee_minor, segment, figures))
    return ranked


def _exclude(names: Iterable[str], excluded: dict[str, Exclusion], by: str, code: str) -> None:
    for name in names:
        if name not in excluded:
            excluded[name] = Exclusion(name, code, f"{by} rules it out")


def _among(named: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in names if name in named]


def _without(named: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in named]


def _by_residency(
    policy: Policy, facts: PaymentFacts, names: Sequence[str], excluded: dict[str, Exclusion]
) -> None:
    if facts.country is not None and (allowed := policy.residency.get(facts.country)) is not None:
        by = f"the residency of customers in {facts.country}"
        _exclude(_without(allowed, names), excluded, by, "residency")


def _by_hints(hints: Hints, names: Sequence[str], excluded: dict[str, Exclusion]) -> None:
    if hints.only:
        _exclude(_without(hints.only, names), excluded, "a routing hook", "hook")
    if hints.never:
        _exclude(_among(hints.never, names), excluded, "a routing hook", "hook")


def _by_circuits(
    facts: PaymentFacts,
    known: Mapping[str, AccountHealth | None],
    excluded: dict[str, Exclusion],
    probe_draw: float,
) -> dict[str, float]:
    """Excludes the accounts whose circuit is open. Returns those that this attempt may probe, with the share
    of attempts that do."""
    probing = {}
    for name, health in known.items():
        circuit = None if health is None or name in excluded else health.circuits.get(facts.kind)
        if circuit is None or circuit.state == "closed":
            continue
        if circuit.state == "half_open" and probe_draw < circuit.probe_share:
            probing[name] = circuit.probe_share
        else:
            detail = f"its circuit is {circuit.state.replace('_', '-')}: {circuit.reason}"
            excluded[name] = Exclusion(name, f"circuit_{circuit.state}", detail)
    return probing


def _next_in_turn(eligible: Sequence[str], order: Sequence[str], last: str) -> str:
    start = order.index(last) + 1 if last in order else 0
    turns = [*order[start:], *order[:start]]
    return next(name for name in turns if name in eligible)


def _bend(ranking: Ranking, shares: Mapping[str, float]) -> Ranking:
    """Gives committed accounts their shares first; the others keep their proportions. `shares` add up to 1 at
    most."""
    if not shares:
        return ranking
    chances = dict(zip(ranking.order, ranking.propensities, strict=True))
    # An account that is excluded is not forced: no payment fails for a volume.
    wanted = {account: share for account, share in shares.items() if account in chances}
    fixed: dict[str, float] = {}
    bent = dict(chances)
    # Another round where what was given to one account has pushed another committed one below its share.
    while short := [name for name, share in wanted.items() if name not in fixed and bent[name] < share]:
        fixed |= {name: wanted[name] for name in short}
        others = sum(chance for name, chance in chances.items() if name not in fixed)
        scale = max(0.0, 1 - sum(fixed.values())) / others if others else 0.0
        bent = {name: fixed.get(name, chance * scale) for name, chance in chances.items()}
    if not fixed:
        return ranking
    if (total := sum(bent.values())) < 1:  # none is left that could get the rest
        bent = {name: chance / total for name, chance in bent.items()}
    order = sorted(bent, key=lambda name: -bent[name])
    return Ranking(order, [bent[name] for name in order], ranking.scores, ranking.experiment)


def _drawn(ranking: Ranking, draw: float) -> str:
    passed = 0.0
    for name, chance in zip(ranking.order, ranking.propensities, strict=True):
        passed += chance
        if draw < passed:
            return name
    return ranking.order[0]  # the sum of the propensities may fall short of 1 by a rounding
