"""`aegispay doubt`: the money of which nobody knows the end, and what a person does about it."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from infra.cli.asking import asked, new_key
from infra.cli.options import AsJson, Data, OperationName, PaymentName, Wait, minor, payment_of
from infra.cli.output import say, write_json
from infra.local.problem import LocalProblem

if TYPE_CHECKING:
    from commands.client import Client
    from commands.messages import Reply
    from projections.in_doubt import AtRisk, Doubt

doubt = typer.Typer(help="Payments in doubt, and what a person does about them.", no_args_is_help=True)

_PAGE: Final = 100
_AGES: Final = {
    "under_5_min": "for less than 5 min",
    "under_1_h": "for less than 1 h",
    "under_24_h": "for less than 24 h",
    "over_24_h": "for more than 24 h",
}


@doubt.command("list")
def list_(
    last: Annotated[int, typer.Option("--limit", min=1, help="Only so many, the oldest.")] = 100,
    data: Data = None,
    *,
    manual: Annotated[
        bool, typer.Option("--manual", help="Only those that a person has to look at.")
    ] = False,
    json: AsJson = False,
) -> None:
    """The money at risk, and each operation in doubt with its age, the oldest first."""
    from infra import clock

    now = clock.now()
    board, doubts = asyncio.run(_in_doubt(now, last, data, manual=manual))
    if json:
        write_json({"board": [asdict(cell) for cell in board], "in_doubt": [asdict(one) for one in doubts]})
        return
    for cell in board:
        where = f"{cell.gateway}/{cell.account}" if cell.gateway else "no PSP yet"
        by_hand = f", {cell.manual} for a person" if cell.manual else ""
        amount = _money(cell.amount_minor, cell.currency)
        count = "1 payment" if cell.payments == 1 else f"{cell.payments} payments"
        say(f"{where}: {amount} in {count} {_AGES[cell.age]}{by_hand}")
    if board:
        say("")
    for one in doubts:
        what = f"{one.operation_id} {one.kind}" if one.operation_id else str(one.payment_id)
        mark = "  MANUAL" if one.manual else ""
        said = ", ".join(filter(None, (one.because, one.code, one.detail)))
        age = _age((now - one.since).total_seconds())
        say(f"{what}  {_money(one.amount_minor, one.currency)}  {age}  asked {one.asked} times  {said}{mark}")
    say(f"{len(doubts)} shown" if doubts else "Nothing is in doubt.")


@doubt.command()
def show(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """The whole story of one payment: what was asked of the PSP, and what it answered."""
    from infra.cli.show import found, tell_state

    told = found(payment, data)
    if json:
        write_json(told)
        return
    tell_state(told)
    for operation in told.get("operations", []):
        say(f"\n{operation['operation_id']}: {operation['kind']} of {operation['amount']}")
        for event in told["events"]:
            if event["operation_id"] == operation["operation_id"]:
                say(f"  {event['at'].isoformat(timespec='milliseconds')}  {_said(event)}")
    if to_decide := _to_decide(told):
        say("\nTo decide it by hand, with the PSP's dashboard open at one of these references:")
        for name in to_decide:
            say(f"  aegispay doubt resolve {told['payment_id']} --operation {name} --charged|--not-charged …")


@doubt.command()
def resolve(
    payment: PaymentName,
    *,
    charged: Annotated[
        bool | None,
        typer.Option("--charged/--not-charged", help="Whether the PSP has executed it.", show_default=False),
    ] = None,
    evidence: Annotated[str, typer.Option(help="What it rests on: the PSP's record, a ticket.")],
    who: Annotated[str, typer.Option(help="Who decides: your name.")],
    amount: Annotated[
        str | None, typer.Option(help="What the PSP executed, where that is not what was asked for.")
    ] = None,
    operation: OperationName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is recorded.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Record a person's decision about an operation in doubt. Exit code 1: it was refused."""
    from infra.cli.show import found

    if charged is None:
        raise LocalProblem("Nothing was decided", "Say --charged or --not-charged")
    told = found(payment, data)
    name = _chosen(told, operation)
    decision: Literal["charged", "not_charged"] = "charged" if charged else "not_charged"
    amount_minor = None if amount is None else minor(amount, told["currency"])
    if json and not yes:
        raise LocalProblem("With --json nobody is asked before it is recorded", "Say --yes")
    if not yes:
        _show_decision(told, name, decision=decision, amount_minor=amount_minor, evidence=evidence, who=who)
        typer.confirm("Record this?", abort=True)

    async def ask(client: "Client") -> "Reply":
        return await client.resolve(
            payment_of(payment),
            idempotency_key=new_key(),
            operation_id=name,
            decision=decision,
            amount_minor=amount_minor,
            evidence=evidence,
            who=f"{who} (aegispay doubt resolve)",
        )

    asked(_merchant(told), data, ask, as_json=json)


@doubt.command()
def ask(
    payment: PaymentName,
    *,
    operation: OperationName = None,
    wait: Wait = 15.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Ask the PSP now, and wait for what it says. Exit code 1: refused, or still in doubt."""
    from infra.cli.show import found

    async def query(client: "Client") -> "Reply":
        reply = await client.retry_status_query(
            payment_of(payment), idempotency_key=new_key(), operation_id=operation
        )
        return await client.wait(reply, wait)

    asked(_merchant(found(payment, data)), data, query, as_json=json)


async def _in_doubt(
    now: datetime, limit: int, data: Path | None, *, manual: bool
) -> tuple[list["AtRisk"], list["Doubt"]]:
    from infra.database import connect_async
    from infra.settings import DatabaseSettings
    from infra.target import settings_of
    from projections import in_doubt

    doubts: list[Doubt] = []
    after: in_doubt.Cursor | None = in_doubt.FIRST_PAGE
    async with await connect_async(settings_of(DatabaseSettings, "audit", data), "doubt") as connection:
        while after is not None and len(doubts) < limit:
            page, after = await in_doubt.everyones_page(connection, now, after, _PAGE)
            doubts += [one for one in page if one.manual or not manual]
        return await in_doubt.everyones_board(connection, now), doubts[:limit]


def _merchant(told: dict[str, Any]) -> str:
    merchant: str | None = told.get("merchant_id")
    if merchant is None:
        raise LocalProblem(
            f"{told['payment_id']} cannot be read: {told['status']}",
            "It is parked: `aegispay parked list` says why",
        )
    return merchant


def _to_decide(told: dict[str, Any]) -> list[str]:
    """Operations in doubt, and those whose reports contradict the record."""
    unknown = [one["operation_id"] for one in told.get("operations", []) if one["open"]]
    return unknown + [name for name in told.get("frozen_by", []) if name not in unknown]


def _chosen(told: dict[str, Any], operation: str | None) -> str:
    _merchant(told)
    if operation is not None:
        return operation
    names = _to_decide(told)
    if len(names) != 1:
        what = "Nothing of it is in doubt" if not names else "More than one of its operations is in doubt"
        remedy = "`aegispay doubt list` shows what is" if not names else f"Name one: {', '.join(names)}"
        raise LocalProblem(what, remedy)
    return names[0]


def _show_decision(
    told: dict[str, Any], name: str, *, decision: str, amount_minor: int | None, evidence: str, who: str
) -> None:
    operation = next((one for one in told["operations"] if one["operation_id"] == name), None)
    asked_for = "an operation that AegisPay does not know" if operation is None else _asked_for(operation)
    amount = "" if amount_minor is None else f", {_money(amount_minor, told['currency'])}"
    meaning = (
        f"executed at the PSP{amount}"
        if decision == "charged"
        else "not executed, and no call of it will be sent again"
    )
    say(f"{told['payment_id']}: {told['status']}")
    say(f"  operation: {name}, {asked_for}")
    say(f"  decision:  {decision}: {meaning}")
    say(f"  evidence:  {evidence}")
    say(f"  who:       {who}")


def _asked_for(operation: dict[str, Any]) -> str:
    return (
        f"{operation['kind']} of {operation['amount']} at {operation['account']}, "
        f"{operation['psp_id'] or 'no id at the PSP'}, now {operation['state']}"
    )


def _said(event: dict[str, Any]) -> str:
    """A question or an answer in one line."""
    data, kind = event["data"], event["type"].removesuffix(".v1").partition(".")[2]
    if kind == "started":
        return f"sent to {data['gateway']}/{data['account']}: {data['because']}"
    if kind == "asked":
        return f"asked again ({data['how']} {data['ask']}): {data['because']}"
    told = [
        f"{name.removesuffix('_minor')} {data[name]}"
        for name in (
            "code",
            "psp_id",
            "amount_minor",
            "currency",
            "why",
            "decision",
            "who",
            "evidence",
            "because",
        )
        if data.get(name) is not None
    ]
    source = f" by {data['source']}" if data.get("source") else ""
    return f"{kind}{source}: {', '.join(told) or 'nothing more was said'}" + (
        f" ({data['detail']})" if data.get("detail") else ""
    )


def _money(minor: int | None, currency: str | None) -> str:
    from aggregates.money import CURRENCIES, Money

    if minor is None or currency is None:
        return "an unknown amount"
    return str(Money(minor, currency)) if currency in CURRENCIES else f"{minor} {currency} (minor units)"


def _age(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{max(int(seconds), 0)} s"
    return (
        f"{minutes} min"
        if minutes < 120
        else f"{minutes // 60} h"
        if minutes < 2880
        else f"{minutes // 1440} d"
    )
