"""`aegispay policy experiment`: what an experiment shows."""

import asyncio
from typing import Annotated, Any

import typer

from commands.wording import counted
from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.errors import NotDone


def experiment(
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="The experiment's id in the policy.")],
    *,
    merchant: Annotated[str, typer.Option(help="Whose policy it is.")] = "demo",
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show an experiment's arms, intervals and verdict. Look as often as you like: the intervals hold at
    every look."""
    from infra.cli.target import settings_of
    from infra.postgres import experiment_reports
    from infra.postgres.connections import connect_async
    from infra.settings import DatabaseSettings

    settings = settings_of(DatabaseSettings, "audit", data)

    async def find() -> dict[str, Any] | None:
        async with await connect_async(settings, "policy") as connection:
            return await experiment_reports.find(connection, merchant, experiment_id)

    found = asyncio.run(find())
    if found is None:
        raise NotDone(
            f"No version of {merchant}'s policy that was active has an experiment {experiment_id}",
            "`aegispay policy show` has the policy",
        )
    if json:
        write_json(found)
        return
    _tell(found)


def _tell(found: dict[str, Any]) -> None:
    state = "running" if found["running"] else "ended"
    say(f"{found['experiment_id']}: {state}, policy version {found['policy_version']}")
    say(found["words"])
    for arm in found["arms"]:
        rate = "no outcome yet" if arm["approval_rate"] is None else f"{arm['approval_rate']:.2%} approved"
        notes = [
            "control" if arm["arm"] == found["control"] else None,
            "stopped" if arm["stopped"] else None,
        ]
        noted = "".join(f", {note}" for note in notes if note)
        say(f"  {arm['arm']} ({arm['share']:.0%} of the customers{noted}): {rate}; {_counts(arm)}")
        if (difference := arm["approval_difference"]) is not None:
            low, high = 100 * difference["lower"], 100 * difference["upper"]
            say(f"    approval against {found['control']}: {low:+.2f} to {high:+.2f} points")
        if arm["cost_ppm"] is not None:
            say(f"    cost: {arm['cost_ppm'] / 10_000:.2f} % of the amount")
    if not found["sample_ratio"]["sound"]:
        say("  The customers are not divided as the shares say.")
    if found["counted_before"]:
        before = counted(found["counted_before"], "payment")
        say(f"  Not counted, since it was under other arms or shares: {before}.")


def _counts(arm: dict[str, Any]) -> str:
    names = ("approved", "declined", "failed", "pending")
    listed = ", ".join(f"{arm[name]} {name}" for name in names)
    assigned, customers = counted(arm["assigned"], "payment"), counted(arm["customers"], "customer")
    return f"{assigned} of {customers}: {listed}"
