"""`aegispay doubt close-webhook`: closes a webhook that could not be used."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.doubt import require_yes
from infra.cli.options import AsJson, Data, Evidence, Who, Yes
from infra.cli.output import say, write_json
from infra.cli.webhooks import Id
from infra.errors import Mistyped, NotDone

if TYPE_CHECKING:
    from infra.postgres.closed_webhooks import CloseWebhook, Closing


def close_webhook(
    id_: Id,
    *,
    reason: Annotated[str, typer.Option(help="What the webhook reports, and what was done about it.")],
    evidence: Evidence,
    who: Who,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Record that nothing is left to do about an unmatched webhook: `doubt list` and `verify` stop naming
    it. Needs the schema's owner."""
    from commands.messages import InvalidMessage
    from infra.postgres.closed_webhooks import read

    signed = f"{who} (aegispay doubt close-webhook)"
    try:
        request = read({"webhook_id": id_, "reason": reason, "evidence": evidence, "who": signed})
    except InvalidMessage as invalid:
        raise Mistyped(f"--{invalid.path} cannot be recorded", invalid.detail) from None
    require_yes(yes=yes, as_json=json)
    if not yes:
        say(f"webhook {id_}")
        say(f"  reason:   {reason}")
        say(f"  evidence: {evidence}")
        say(f"  who:      {who}")
        typer.confirm("Record this?", abort=True)
    closing = asyncio.run(_close(request, data))
    if closing is None:
        raise NotDone(
            f"There is no webhook {id_} that needs an operator",
            "`aegispay webhooks list` shows those that are unmatched",
        )
    if json:
        write_json(asdict(closing))
    else:
        say(
            f"Webhook {id_} is closed: {closing.reason} ({closing.who}, {closing.closed_at:%Y-%m-%d %H:%M} UTC)"
        )


async def _close(request: "CloseWebhook", data: Path | None) -> "Closing | None":
    from infra.cli.target import settings_of
    from infra.postgres.closed_webhooks import close
    from infra.postgres.connections import connect_async
    from infra.settings import DatabaseSettings

    async with await connect_async(settings_of(DatabaseSettings, "admin", data), "closing") as connection:
        return await close(connection, request, None)
