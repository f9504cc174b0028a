"""`aegispay review`: the payments that a fraud hook holds, and a person's decisions about them."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from infra.cli.doubt import require_yes
from infra.cli.options import AsJson, Data, Evidence, PaymentName, Who, Yes, payment_of
from infra.cli.output import money, say, write_json
from infra.cli.session import send
from infra.errors import NotDone

if TYPE_CHECKING:
    from pathlib import Path

    from commands.client import Client
    from commands.reply import Reply

review = typer.Typer(help="Payments that a fraud hook holds for a person.", no_args_is_help=True)


@review.command("list")
def list_(
    last: Annotated[
        int, typer.Option("--limit", min=1, help="Show at most this many, the longest held.")
    ] = 100,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """List the held payments with the reasons of the hooks, the longest held first."""
    from infra.cli.target import settings_of
    from infra.postgres.connections import connect_async
    from infra.settings import DatabaseSettings
    from projections import reviews

    async def read() -> list[reviews.HeldPayment]:
        async with await connect_async(settings_of(DatabaseSettings, "audit", data), "review") as connection:
            return await reviews.oldest(connection, last)

    held = asyncio.run(read())
    if json:
        write_json([asdict(one) for one in held])
        return
    for one in held:
        until = one.expires_at.isoformat(timespec="seconds")
        customer = f"  {one.customer_id}" if one.customer_id else ""
        amount = money(one.amount_minor, one.currency)
        say(f"{one.payment_id}  {one.merchant_id}{customer}  {amount}  until {until}  {one.reason}")
    say(f"{len(held)} shown" if held else "Nothing is held.")


def _deciding(decision: Literal["allow", "deny"], text: str) -> None:
    """Adds the command of a decision, called like it."""

    def run(
        payment: PaymentName,
        *,
        evidence: Evidence,
        who: Who,
        yes: Yes = False,
        data: Data = None,
        json: AsJson = False,
    ) -> None:
        _decide(payment, decision, evidence, who, data, yes=yes, as_json=json)

    review.command(decision, help=text)(run)


_deciding("allow", "Start the payment's first attempt. Exit code 1: it was refused.")
_deciding("deny", "Reject the payment: nothing of it is ever sent. Exit code 1: it was refused.")


def _decide(
    payment: str,
    decision: Literal["allow", "deny"],
    evidence: str,
    who: str,
    data: "Path | None",
    *,
    yes: bool,
    as_json: bool,
) -> None:
    from infra.cli.show import found

    require_yes(yes=yes, as_json=as_json)
    record = found(payment, data)
    merchant = record.get("merchant_id")
    if merchant is None:
        raise NotDone(
            f"{record['payment_id']} cannot be read: {record['status']}",
            "It is parked: `aegispay parked list` shows the reason",
        )
    if not yes:
        say(f"{record['payment_id']}: {record['status']}, {record['amount']}")
        say(f"  decision: {decision}\n  evidence: {evidence}\n  who:      {who}")
        typer.confirm("Record this?", abort=True)

    async def command(client: "Client", key: str) -> "Reply":
        return await client.review(
            payment_of(payment),
            idempotency_key=key,
            decision=decision,
            evidence=evidence,
            who=f"{who} (aegispay review {decision})",
        )

    send(merchant, data, None, command, as_json=as_json)
