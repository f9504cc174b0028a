"""`aegispay doubt list`: the money at risk."""

import asyncio
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from commands.wording import counted
from infra.cli.options import AsJson, Data
from infra.cli.output import money, say, write_json

if TYPE_CHECKING:
    from infra.postgres.unmatched_webhooks import Unmatched
    from projections.disputes import OpenDispute
    from projections.in_doubt import AtRisk, Doubt

_PAGE: Final = 100
_AGES: Final = {
    "under_5_min": "for less than 5 min",
    "under_1_h": "for less than 1 h",
    "under_24_h": "for less than 24 h",
    "over_24_h": "for more than 24 h",
}


def list_(
    last: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many, the oldest.")] = 100,
    data: Data = None,
    *,
    manual: Annotated[bool, typer.Option("--manual", help="Only what an operator has to look at.")] = False,
    json: AsJson = False,
) -> None:
    """List the money at risk: operations in doubt with their age, oldest first; disputes that are not
    over; webhooks that name a payment and could not be used."""
    from infra.process import clock

    now = clock.now()
    found = asyncio.run(_in_doubt(now, last, data, manual=manual))
    if json:
        write_json(asdict(found))
        return
    doubts = found.in_doubt
    for cell in found.totals:
        where = f"{cell.gateway}/{cell.account}" if cell.gateway else "no PSP yet"
        by_hand = f", {cell.manual} for an operator" if cell.manual else ""
        amount = money(cell.amount_minor, cell.currency)
        say(f"{where}: {amount} in {counted(cell.payments, 'payment')} {_AGES[cell.age]}{by_hand}")
    if found.totals:
        say("")
    for one in doubts:
        what = f"{one.operation_id} {one.kind}" if one.operation_id else str(one.payment_id)
        mark = "  MANUAL" if one.manual else ""
        reason = ", ".join(filter(None, (one.reason, one.code, one.detail)))
        age = _age((now - one.since).total_seconds())
        amount, queried = money(one.amount_minor, one.currency), counted(one.queries, "time")
        say(f"{what}  {amount}  {age}  queried {queried}  {reason}{mark}")
    nothing = "Nothing in doubt needs an operator." if manual else "Nothing is in doubt."
    say(f"{len(doubts)} shown" if doubts else nothing)
    for dispute in found.disputes:
        until = f", respond until {dispute.respond_by:%Y-%m-%d %H:%M} UTC" if dispute.respond_by else ""
        mark = "  MANUAL" if dispute.state == "unclear" else ""
        amount = money(dispute.amount_minor, dispute.currency)
        where = f"{dispute.gateway}/{dispute.account}"
        say(
            f"dispute {dispute.dispute_id} of {dispute.payment_id}, {where}: {dispute.state}, {amount}{until}{mark}"
        )
    for webhook in found.webhooks:
        age = _age((now - webhook.received_at).total_seconds())
        what = f"{webhook.account} {webhook.event_type}, {webhook.reason}, {age}"
        say(f"webhook {webhook.id} of {webhook.payment_id}: {what}  MANUAL")
        say(
            f"  aegispay webhooks show {webhook.id}; once dealt with, aegispay doubt close-webhook {webhook.id} …"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    totals: list["AtRisk"]
    in_doubt: list["Doubt"]
    disputes: list["OpenDispute"]
    webhooks: list["Unmatched"]


async def _in_doubt(now: datetime, limit: int, data: Path | None, *, manual: bool) -> _Found:
    """Reads the list and its totals. `manual`: only what an operator has to look at, and of the disputes
    those whose end the PSP does not report."""
    from infra.cli.target import settings_of
    from infra.postgres import unmatched_webhooks
    from infra.postgres.connections import connect_async
    from infra.settings import DatabaseSettings
    from projections import disputes, in_doubt
    from projections.cursors import Cursor

    doubts: list[Doubt] = []
    after: Cursor | None = in_doubt.FIRST_PAGE
    async with await connect_async(settings_of(DatabaseSettings, "audit", data), "doubt") as connection:
        while after is not None and len(doubts) < limit:
            page, after = await in_doubt.page_of_all(connection, now, after, _PAGE)
            doubts += [one for one in page if one.manual or not manual]
        open_ones = await disputes.open_disputes(connection, limit)
        return _Found(
            totals=await in_doubt.totals_of_all(connection, now, manual=manual),
            in_doubt=doubts[:limit],
            disputes=[one for one in open_ones if one.state == "unclear" or not manual],
            webhooks=await unmatched_webhooks.oldest(connection, limit),
        )


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
