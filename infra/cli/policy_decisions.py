"""`aegispay policy explain` and `try`: how accounts were chosen, and how another policy would choose.

Invariant: both only read, and `try` holds no more than one page of payments at a time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import orjson
import typer

from commands.sql import statements
from commands.wording import counted
from infra.cli.options import AsJson, Data, PaymentName, payment_of
from infra.cli.output import in_words, money, say, write_json
from infra.cli.policy_target import accounts_of, document_of, findings_of, loaded, policy_of, version_named
from infra.errors import NotDone

if TYPE_CHECKING:
    import psycopg
    from eventsourcing.persistence import StoredEvent

    from aggregates.events import HookDecided
    from aggregates.routing.findings import Finding
    from aggregates.routing.rules import ReadyPolicy
    from commands.recorded_decisions import RecordedDecision

_SQL: Final = statements(__file__)
_PAGE: Final = 200
# Of the newest payments of all merchants so many are looked at for each one that is wanted.
_SCANNED_FOR_ONE: Final = 50
_SCANNED_MAX: Final = 1_000_000


def explain(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """Show each decision of a payment (facts, candidates, exclusions, scores, propensities), and make it
    again from its record. Exit code 1: that gives another result."""
    from commands.recorded_decisions import recorded_decisions

    payment_id = payment_of(payment)
    with _reading(data) as connection:
        stored = next(_streams(connection, [payment_id]), None)
    if stored is None:
        raise NotDone(
            f"There is no payment {payment_id}", "Was its command sent? `aegispay dead-letters list`"
        )
    decisions = list(recorded_decisions(stored))
    policies = _Policies(decisions[0].facts.merchant_id, data) if decisions else None
    rows = []
    for one in decisions:
        assert policies is not None
        again = one.again(policies.of(one.policy_version))
        rows.append((one, again, again == one.record))
    if json:
        write_json({"payment_id": payment_id, "decisions": [_as_json(*row) for row in rows]})
    else:
        for one, again, same in rows:
            _tell(one, again, same=same)
        if not rows:
            say(f"No account was chosen for {payment_id}: `aegispay show` has the reason.")
    raise typer.Exit(0 if all(same for _, _, same in rows) else 1)


def try_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A policy in YAML, or in JSON where its name ends in .json."),
    ],
    *,
    merchant: Annotated[str, typer.Option(help="The merchant whose payments are looked at.")] = "demo",
    last: Annotated[
        int, typer.Option(min=1, max=100_000, help="Look at this many of its newest payments, at most.")
    ] = 1000,
    shown: Annotated[int, typer.Option("--show", min=0, max=1000, help="List this many changes.")] = 20,
    accounts: Annotated[
        Path | None,
        typer.Option("--accounts", metavar="FILE", help="The file of PSP accounts, for their order."),
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Say which decisions of past payments a policy would change, from what was known then. It changes
    nothing. Each decision counts by itself; what came of another choice nobody knows."""
    from aggregates.routing.rules import ReadyPolicy

    document = document_of(file)
    policy = ReadyPolicy.of(document.policy, 0)
    known = accounts_of(merchant, accounts, data)
    errors = [one for one in findings_of(document.policy, known) if one.severity == "error"]
    order = tuple(known or ())
    payments = decisions = 0
    moves: Counter[tuple[str, str]] = Counter()
    changes: list[dict[str, Any]] = []
    with _reading(data) as connection:
        for payment_id, made in _sample(connection, merchant, last):
            payments += 1
            for one in made:
                decisions += 1
                before, after = one.record["account"], one.under(policy, order)
                if before == after:
                    continue
                moves[before or "none", after or "none"] += 1
                if len(changes) < shown:
                    changes.append(
                        {"payment_id": payment_id, "attempt": one.facts.attempt, "from": before, "to": after}
                    )
    if json:
        counts = [{"from": a, "to": b, "decisions": number} for (a, b), number in moves.most_common()]
        write_json(
            {
                "payments": payments,
                "decisions": decisions,
                "changed": moves.total(),
                "moves": counts,
                "examples": changes,
                "errors": [asdict(one) for one in errors],
            }
        )
        return
    _tell_changes(changes)
    for (a, b), number in moves.most_common():
        say(f"{number:>7}  from {a} to {b}")
    share = f" ({moves.total() / decisions:.1%})" if decisions else ""
    say(
        f"{moves.total()} of {counted(decisions, 'decision')} would change{share}, in "
        f"{counted(payments, 'payment')} of {merchant}."
    )
    if errors:
        _tell_errors(errors, file)
    if document.policy.commitments:
        say("Its commitments are not tried: what was owed to them then is not recorded.", error=True)


def _tell_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    for change in changes:
        say(
            f"{change['payment_id']}  attempt {change['attempt']}: {change['from'] or 'none'} becomes "
            f"{change['to'] or 'none'}"
        )


def _tell_errors(errors: "Sequence[Finding]", file: Path) -> None:
    say(
        f"It could not be activated: {counted(len(errors), 'error')}, the first at {errors[0].where}: "
        f"{errors[0].what}. `aegispay policy lint {file}` lists them.",
        error=True,
    )


class _Policies:
    """The versions of a merchant's policy, each read once."""

    def __init__(self, merchant_id: str, data: Path | None) -> None:
        self._merchant_id = merchant_id
        self._data = data
        self._read: dict[int, ReadyPolicy] = {}

    def of(self, number: int) -> "ReadyPolicy":
        """Returns a version; 0: no policy. Raises `NotDone`."""
        from aggregates.routing.rules import NO_POLICY, ReadyPolicy

        if number == 0:
            return NO_POLICY
        if number not in self._read:
            version = version_named(loaded(self._merchant_id, self._data), str(number), self._merchant_id)
            self._read[number] = ReadyPolicy.of(policy_of(version), number)
        return self._read[number]


def _reading(data: Path | None) -> "psycopg.Connection":
    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    connection = connect(settings_of(DatabaseSettings, "audit", data), "policy")
    connection.execute(_SQL["read_only"])
    return connection


def _streams(connection: "psycopg.Connection", payment_ids: Sequence[UUID]) -> "Iterator[list[StoredEvent]]":
    from eventsourcing.persistence import StoredEvent

    rows = connection.execute(_SQL["streams"], (list(payment_ids),)).fetchall()
    for _, its in groupby(rows, key=lambda row: row[0]):
        yield [StoredEvent(*row) for row in its]


def _sample(
    connection: "psycopg.Connection", merchant: str, last: int
) -> "Iterator[tuple[UUID, list[RecordedDecision]]]":
    """Yields the decisions of the merchant's newest payments, of a page of them at a time. A payment that
    this release cannot read is left out."""
    from commands.decider import UNDECIDABLE
    from commands.recorded_decisions import recorded_decisions

    scanned = min(last * _SCANNED_FOR_ONE, _SCANNED_MAX)
    values = {"merchant": merchant, "last": last, "scanned": scanned}
    ids = [row[0] for row in connection.execute(_SQL["newest"], values)]
    for start in range(0, len(ids), _PAGE):
        for stored in _streams(connection, ids[start : start + _PAGE]):
            payment_id = stored[0].originator_id
            assert isinstance(payment_id, UUID)
            try:
                made = list(recorded_decisions(stored))
            except UNDECIDABLE:
                say(f"{payment_id} cannot be read, and is left out", error=True)
                continue
            yield payment_id, made


def _as_json(one: "RecordedDecision", again: Mapping[str, Any], same: bool) -> dict[str, Any]:
    return {
        "version": one.version,
        "at": one.at,
        "operation_id": one.operation_id,
        "facts": _facts(one),
        "hooks": [{"hook": hook.hook} | _wishes(hook) for hook in one.hooks],
        "decision": one.record,
        "again": None if same else again,
        "same": same,
    }


def _wishes(hook: "HookDecided") -> dict[str, Any]:
    if hook.failed is not None:
        return {"failed": hook.failed, "failure_mode": hook.failure_mode}
    names = {name: list(getattr(hook, name)) for name in ("only", "never", "prefer")}
    return {name: accounts for name, accounts in names.items() if accounts} | {"reason": hook.reason}


def _facts(one: "RecordedDecision") -> dict[str, Any]:
    facts, card = one.facts, one.facts.card
    found = {
        "kind": facts.kind,
        "amount": money(facts.amount_minor, facts.currency),
        "method": facts.method,
        "country": facts.country,
        "customer": facts.customer_id,
        "bin": card.bin,
        "card_country": card.country,
        "scheme": card.scheme,
        "funding": card.funding,
        "metadata": dict(facts.metadata) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _tell(one: "RecordedDecision", again: Mapping[str, Any], *, same: bool) -> None:
    record = one.record
    outcome = record["account"] or "no account for now"
    policy = f"policy {one.policy_version}" if one.policy_version else "no policy"
    say(f"{one.at.isoformat(timespec='milliseconds')}  attempt {record['attempt']}: {outcome}")
    say(f"  by {record['strategy']}, {policy}, health {record['health']}, draw {record['draw']:.6f}")
    say("  facts: " + ", ".join(f"{name} {value}" for name, value in _facts(one).items()))
    for name in ("rules", "tried"):
        if record.get(name):
            say(f"  {name}: {', '.join(record[name])}")
    for name in ("experiment", "stopped", "hints", "shares"):
        if record.get(name):
            say(f"  {name}: {in_words(record[name])}")
    for hook in one.hooks:
        say(f"  hook {hook.hook}: {in_words(_wishes(hook))}")
    for entry in record["accounts"]:
        say(f"  {entry['account']}: {_line(entry, one.facts.currency)}")
    for account, code, detail in record.get("excluded", ()):
        say(f"  {account}: excluded ({code}): {detail}")
    if same:
        say("  made again from this record: the same")
        return
    say("  made again from this record: ANOTHER RESULT", error=True)
    for name in sorted({*record, *again}):
        if record.get(name) != again.get(name):
            # In full: words round, and the difference may be small.
            before, now = (orjson.dumps(one.get(name)).decode() for one in (record, again))
            say(f"    {name}: recorded {before}, now {now}", error=True)


def _line(entry: Mapping[str, Any], currency: str) -> str:
    parts = []
    if "excluded" in entry:
        code, detail = entry["excluded"]
        parts.append(f"excluded ({code}): {detail}")
    if "score" in entry:
        parts.append(f"score {entry['score']:.4f}")
    if "propensity" in entry:
        parts.append(f"propensity {entry['propensity']:.4f}")
    fee = entry.get("fee_minor")
    parts.append("fee unknown" if fee is None else f"fee {money(fee, currency)}")
    if "circuit" in entry:
        state, share, reason = entry["circuit"]
        parts.append(f"circuit {state.replace('_', '-')}, probed by {share:.0%}: {reason}")
    if "outcomes" in entry:
        approved, declined, failed, unknown = entry["outcomes"]
        segment = entry["segment"] or "the whole account"
        figures = f"{approved} approved, {declined} declined, {failed} failed, {unknown} unknown"
        parts.append(f"{segment}: {figures}")
    if "p95_ms" in entry:
        parts.append(f"p95 {entry['p95_ms']:.0f} ms")
    if "arm" in entry:
        wins, losses = entry["arm"]
        parts.append(f"{wins:g} wins, {losses:g} losses since the last change")
    return "; ".join(parts)
