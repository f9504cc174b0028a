"""Reaches what `aegispay policy` is about: policies in files and in PostgreSQL, a merchant's accounts."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.errors import Mistyped, NoStack, NotDone

if TYPE_CHECKING:
    from aggregates.routing.findings import Accounts, Finding
    from aggregates.routing.policy import Policy
    from aggregates.routing_policy import By, RoutingPolicy, Version
    from commands.policy_document import Document

ACCOUNTS: Final = "AEGISPAY_ACCOUNTS_FILE"
"""The variable that names the file of PSP accounts."""
AccountsFile = Annotated[
    Path | None,
    typer.Option(
        "--accounts",
        metavar="FILE",
        help=f"The file of PSP accounts, for what is known of them. Default: {ACCOUNTS}, or else the local "
        "stack's; without any nothing is said about accounts.",
        show_default=False,
    ),
]


def document_of(file: Path) -> "Document":
    """Reads a policy's file. Raises `Mistyped` with the line and path of each fault."""
    from commands.policy_document import InvalidDocument, read

    try:
        raw = file.read_bytes()
    except OSError as error:
        raise Mistyped(f"{file} cannot be read: {error.strerror}", "Name a file that is there") from None
    try:
        return read(raw, "json" if file.suffix == ".json" else "yaml")
    except InvalidDocument as invalid:
        faults = "\n".join(f"{file}: {fault}" for fault in invalid.faults)
        raise Mistyped(faults, "docs/routing.md says what a policy may hold", str(file)) from None


def accounts_of(merchant: str, file: Path | None, data: Path | None) -> "Accounts | None":
    """Returns the merchant's accounts by the file, or that of the environment, or else of the local stack.
    None: there is none of them. Raises `Misconfigured`, and `Mistyped` if the file has no such merchant."""
    from infra.psp.accounts import Accounts

    file = accounts_file(file, data)
    if file is None:
        return None
    accounts = Accounts.load(file)
    if merchant not in accounts.merchants:
        known = ", ".join(accounts.merchants)
        raise Mistyped(f"{file} has no merchant {merchant}", f"It has {known}", "--merchant")
    return accounts.currencies_of(merchant)


def findings_of(policy: "Policy", accounts: "Accounts | None") -> "list[Finding]":
    """Returns what the lint finds today."""
    from aggregates.routing.lint import lint
    from infra.process import clock

    return lint(policy, accounts, clock.now().date())


def accounts_file(file: Path | None, data: Path | None) -> Path | None:
    """Returns the file of PSP accounts: the named one, or that of the environment, or else of the local
    stack. None: there is none of them."""
    if file is None and (named := os.environ.get(ACCOUNTS)):
        file = Path(named)
    if file is None:
        try:
            from infra.tools.local.state import StackState
            from infra.tools.local.target import stack_settings

            file = StackState.require(stack_settings(data).data).accounts_file
        except (ImportError, NoStack):  # an image has no local stack
            return None
    return file


def loaded(merchant: str, data: Path | None) -> "RoutingPolicy | None":
    """Returns the merchant's policy; None: it has none."""

    async def run() -> "RoutingPolicy | None":
        from infra.cli.target import settings_of
        from infra.postgres.connections import connect_async
        from infra.postgres.policy_store import load
        from infra.settings import DatabaseSettings

        async with await connect_async(settings_of(DatabaseSettings, "audit", data), "policy") as connection:
            return await load(connection, merchant)

    return asyncio.run(run())


def change(
    merchant: str, data: Path | None, by: "By", decide: "Callable[[RoutingPolicy], object]"
) -> "RoutingPolicy":
    """Decides on the policy as it is, saves it and returns it. Raises `NotDone` where a rule refuses, or
    somebody else changed it meanwhile."""

    async def run() -> "RoutingPolicy":
        from aggregates.routing_policy import RoutingPolicy
        from infra.cli.target import settings_of
        from infra.postgres.connections import connect_async
        from infra.postgres.policy_store import load, save
        from infra.settings import DatabaseSettings

        async with await connect_async(settings_of(DatabaseSettings, "admin", data), "policy") as connection:
            policy = await load(connection, merchant) or RoutingPolicy.open(merchant, by)
            decide(policy)
            await save(connection, policy)
            return policy

    from aggregates.decision import Refused
    from infra.postgres.policy_store import PolicyChanged

    try:
        return asyncio.run(run())
    except Refused as refused:
        raise NotDone(
            refused.detail, f"`aegispay policy show --merchant {merchant}` shows the versions"
        ) from None
    except PolicyChanged:
        raise NotDone(
            "Somebody else has changed the policy at this moment", "Look at it again, and repeat the command"
        ) from None


def is_version(name: str) -> bool:
    """True for a number, `active` and `draft`; else it is a file."""
    return name in {"active", "draft"} or name.isdigit()


def version_named(policy: "RoutingPolicy | None", name: str, merchant: str) -> "Version":
    """Returns a version by its number or state. Raises `NotDone`."""
    found = None
    if policy is not None:
        states = {"active": policy.active, "draft": policy.draft}
        found = states[name] if name in states else policy.versions.get(int(name)) if name.isdigit() else None
    if found is None:
        what = (
            f"version {name}"
            if name.isdigit()
            else name
            if name in {"active", "draft"}
            else f"version called {name}"
        )
        text = f"{merchant} has no {what}{' version' if name in {'active', 'draft'} else ''}"
        raise NotDone(text, f"`aegispay policy show --merchant {merchant}` lists them")
    return found


def policy_of(version: "Version") -> "Policy":
    """Returns a version's policy. Raises `NotDone` where this release does not take it."""
    from aggregates.decision import Refused
    from aggregates.routing_policy import read

    try:
        return read(version)
    except Refused as refused:
        raise NotDone(refused.detail, "Draft it again in today's form") from None


def signed(who: str, reason: str, command: str) -> "By":
    """Returns who makes a change, and why. Raises `Mistyped` for words that cannot be recorded."""
    from pydantic import TypeAdapter, ValidationError

    from aggregates.routing_policy import By
    from commands import wording
    from commands.card_data import holds_card_data
    from commands.fields import Text
    from infra.process import clock

    for option, text in (("--who", who), ("--reason", reason)):
        if holds_card_data(text):
            raise Mistyped(
                f"{option} cannot be recorded", "It looks like a card number: leave it out", option
            )
        try:
            TypeAdapter(Text).validate_python(text)
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_input=False)[0]
            raise Mistyped(f"{option} cannot be recorded", wording.sentence(first), option) from None
    return By(f"{who} (aegispay policy {command})", reason, clock.now())
