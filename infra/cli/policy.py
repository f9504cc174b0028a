"""`aegispay policy`: checks, compares and changes the routing policy of a merchant."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.doubt import require_yes
from infra.cli.options import AsJson, Data, Who, Yes
from infra.cli.output import say, write_json
from infra.cli.policy_decisions import explain, try_
from infra.cli.policy_target import (
    ACCOUNTS,
    AccountsFile,
    accounts_of,
    change,
    document_of,
    findings_of,
    is_version,
    loaded,
    policy_of,
    signed,
    version_named,
)

if TYPE_CHECKING:
    from aggregates.routing.findings import Accounts, Finding
    from aggregates.routing_policy import By, RoutingPolicy, Version
    from commands.policy_document import Document

policy = typer.Typer(
    help="The routing policy of a merchant: which PSP account gets which payment.", no_args_is_help=True
)

policy.command()(explain)
policy.command("try")(try_)

Merchant = Annotated[
    str, typer.Option(help="The merchant whose policy it is; the local stack has demo and other.")
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A policy in YAML, or in JSON where its name ends in .json.")
]
Number = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="As `show` lists it.")]
Reason = Annotated[str, typer.Option(help="Why, which is recorded with the change.")]


@policy.command()
def lint(
    file: File, merchant: Merchant = "demo", accounts: AccountsFile = None, *, json: AsJson = False
) -> None:
    """Find what is wrong in a policy, without any server. Exit code 1: it has errors, and cannot be
    activated."""
    document, known = document_of(file), accounts_of(merchant, accounts, None)
    findings = findings_of(document.policy, known)
    errors = any(one.severity == "error" for one in findings)
    if json:
        lines = [asdict(one) | {"line": document.line_of(one.where)} for one in findings]
        write_json({"findings": lines, "accounts_known": known is not None})
    else:
        _list_findings(findings, document)
        if known is None:
            say(
                f"Nothing is said about accounts: name their file with --accounts, or in {ACCOUNTS}",
                error=True,
            )
        if not findings:
            say("Nothing is wrong.")
    raise typer.Exit(1 if errors else 0)


@policy.command()
def show(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A number, active or draft.")] = "active",
    merchant: Merchant = "demo",
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Show the versions, and the document of one: of the active one unless another is named."""
    found = loaded(merchant, data)
    wanted = None if version == "active" and (found is None or found.active is None) else version
    one = None if wanted is None else version_named(found, wanted, merchant)
    if json:
        write_json(
            {
                "merchant_id": merchant,
                "stopped_arms": found.stopped if found else {},
                "versions": [_row(found, each) for each in found.versions.values()] if found else [],
                "document": None if one is None else one.document,
            }
        )
        return
    if found is not None:
        _list_versions(found)
    if one is None:
        say(f"{merchant} has no active policy: the order of the settings decides.")
        return
    from commands.policy_document import to_yaml

    say("")
    say(to_yaml(one.document).rstrip())


@policy.command()
def diff(
    first: Annotated[
        str, typer.Argument(metavar="FROM", help="A version's number, active, draft, or a file.")
    ],
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="TO",
            help="Likewise. Left out: FROM is compared with the active version.",
            show_default=False,
        ),
    ] = None,
    merchant: Merchant = "demo",
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Say in words what one version, or a file, changes of another. Exit code 0 also where they differ."""
    from aggregates.routing.differences import differences
    from aggregates.routing.policy import EMPTY, Policy

    one, other = ("active", first) if second is None else (first, second)
    names = [name for name in (one, other) if is_version(name)]
    found = loaded(merchant, data) if names else None

    def policy_named(name: str) -> Policy:
        if not is_version(name):
            return document_of(Path(name)).policy
        if name == "active" and (found is None or found.active is None):
            return EMPTY
        return policy_of(version_named(found, name, merchant))

    said = differences(policy_named(one), policy_named(other))
    if json:
        write_json({"from": one, "to": other, "differences": said})
        return
    for sentence in said:
        say(sentence)
    if not said:
        say(f"{one} and {other} say the same.")


@policy.command()
def draft(
    file: File,
    *,
    who: Who,
    reason: Reason,
    merchant: Merchant = "demo",
    accounts: AccountsFile = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Add a version that nothing is routed by yet. Needs the schema's owner."""
    document, by = document_of(file), signed(who, reason, "draft")
    known = accounts_of(merchant, accounts, data)
    numbers: list[int] = []
    changed = change(merchant, data, by, lambda policy: numbers.append(policy.put_draft(document.policy, by)))
    findings = findings_of(document.policy, known)
    if json:
        found = [asdict(one) for one in findings]
        write_json({"version": numbers[0], "change": changed.version, "findings": found})
        return
    state = changed.state_of(changed.versions[numbers[0]])
    say(f"Version {numbers[0]} is {'a draft' if state == 'draft' else state}.")
    _list_findings(findings, document)


def _switching(
    name: str, text: str, decide: "Callable[[RoutingPolicy, int, Accounts | None, By], None]"
) -> None:
    """Adds the command `name`, which makes another version the active one."""

    def run(
        version: Number,
        *,
        who: Who,
        reason: Reason,
        yes: Yes = False,
        merchant: Merchant = "demo",
        accounts: AccountsFile = None,
        data: Data = None,
        json: AsJson = False,
    ) -> None:
        by, known = signed(who, reason, name), accounts_of(merchant, accounts, data)
        require_yes(yes=yes, as_json=json)
        if not yes:
            _tell_change(version, merchant, data)
            typer.confirm("Let it route?", abort=True)
        changed = change(merchant, data, by, lambda policy: decide(policy, version, known, by))
        if json:
            write_json({"version": version, "change": changed.version})
        else:
            say(f"Version {version} routes the payments of {merchant}.")

    policy.command(name, help=text)(run)


_switching(
    "activate",
    "Let the newest version route the merchant's payments, within 2 s. Needs the schema's owner.",
    lambda policy, *about: policy.activate(*about),
)
_switching(
    "rollback",
    "Return to a version that was active before, within 2 s. Needs the schema's owner.",
    lambda policy, *about: policy.roll_back(*about),
)


def _tell_change(version: int, merchant: str, data: Path | None) -> None:
    from aggregates.routing.differences import differences
    from aggregates.routing.policy import EMPTY

    found = loaded(merchant, data)
    new = policy_of(version_named(found, str(version), merchant))
    old = EMPTY if found is None or found.active is None else policy_of(found.active)
    for sentence in differences(old, new) or ["It says the same as the active version."]:
        say(f"  {sentence}")


def _list_findings(findings: "list[Finding]", document: "Document") -> None:
    for one in findings:
        line = document.line_of(one.where)
        say(f"{one.severity}{f' in line {line}' if line else ''}, {one.where}: {one.what}; {one.remedy}")


def _list_versions(policy: "RoutingPolicy") -> None:
    for one in policy.versions.values():
        at = f"{one.drafted_at:%Y-%m-%d %H:%M} UTC"
        say(f"{one.number:>4}  {policy.state_of(one)}  {at}  {one.who}: {one.reason}")
        if one.activated_at is not None:
            since = "active since" if one is policy.active else "last activated at"
            why = f"{one.activated_by}: {one.activation_reason}"
            say(f"      {since} {one.activated_at:%Y-%m-%d %H:%M} UTC  {why}")
    for experiment, arms in policy.stopped.items():
        say(f"stopped in experiment {experiment}: {', '.join(arms)}")


def _row(policy: "RoutingPolicy", version: "Version") -> dict[str, Any]:
    return asdict(version) | {"state": policy.state_of(version)}
