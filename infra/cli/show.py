"""`aegispay list` and `aegispay show`: the newest payments, and everything about one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from commands.sql import statements
from commands.wording import counted
from infra.cli.options import AsJson, Data, PaymentName, payment_of
from infra.cli.output import in_words, money, reason_of, say, write_json
from infra.errors import NotDone

_SQL: Final = statements(__file__)


def list_(
    last: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="Show at most this many, the newest.")
    ] = 20,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """List the newest payments, as the read models have them."""
    from psycopg.rows import dict_row

    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    with connect(settings_of(DatabaseSettings, "audit", data), "list") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_SQL["newest"], (last,)).fetchall()
    if json:
        write_json(rows)
        return
    for row in rows:
        at = row["created_at"].isoformat(timespec="seconds") if row["created_at"] else "(just now)"
        frozen = " FROZEN" if row["frozen"] else ""
        record = "  ".join(filter(None, (row["merchant_id"], row["customer_id"], row["reason"])))
        amount = money(row["amount_minor"], row["currency"])
        say(f"{row['payment_id']}  {at}  {row['status']}{frozen}  {amount}  {record}")
    say(
        f"{len(rows)} shown"
        if rows
        else "There are no payments yet: `aegispay pay create 10.99 EUR` makes one."
    )


def show(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """Show one payment: its state, its operations, and every event with its reason."""
    record = found(payment, data)
    if json:
        write_json(record)
        return
    tell_state(record)
    say("")
    for event in record["events"]:
        say(f"{event['version']:>4}  {event['at'].isoformat()}  {event['type']}  {gist(event['data'])}")


def found(payment: str, data: Path | None) -> dict[str, Any]:
    """Returns everything about the payment (infra/postgres/history.py). Raises `NotDone`."""
    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.postgres.history import history
    from infra.settings import DatabaseSettings

    payment_id = payment_of(payment)
    with connect(settings_of(DatabaseSettings, "audit", data), "show") as connection:
        record = history(connection, payment_id)
    if record is None:
        raise NotDone(
            f"There is no payment {payment_id}", "Was its command sent? `aegispay dead-letters list`"
        )
    return record


def tell_state(record: dict[str, Any]) -> None:
    """Prints the payment's state, operations and claims."""
    say(f"{record['payment_id']}: {record['status']}{' FROZEN' if record.get('frozen') else ''}")
    for name in (
        "amount",
        "merchant_id",
        "customer_id",
        "idempotency_key",
        "reason",
        "detail",
        "correlation_id",
    ):
        if record.get(name) is not None:
            say(f"  {name}: {record[name]}")
    if record["parked"] is not None:
        say(f"  parked since {record['parked']['since']}: {record['parked']['reason']}")
        say("  its timer is suspended: nothing is due before `aegispay parked retry`")
    elif record.get("waits"):
        for wait in record["waits"]:
            say(waits_line(wait))
    elif record["timer"] is not None and record["timer"]["wake_at"] is not None:
        say(f"  due again at {record['timer']['wake_at']}")
    for operation in record.get("operations", []):
        say(
            f"  {operation['operation_id']}: {operation['kind']} {operation['state']}, {operation['amount']}, "
            f"{operation['gateway']}/{operation['account']}, {operation['psp_id'] or 'no id at the PSP'}"
            f", expected fee {operation['expected_fee'] or 'unknown'}"
            f"{reason_of(operation['code'], operation['detail'])}"
        )
    if record.get("expected_fees"):
        say(f"  expected fees of what was executed: {', '.join(record['expected_fees'])}")
    for claim in record["claims"]:
        tries = counted(claim["tries"], "try", "tries")
        say(f"  step {claim['step']} of {claim['operation_id']}: {claim['state']}, {tries}")


def waits_line(wait: dict[str, Any]) -> str:
    """Returns the line about what a payment waits for: see `infra.postgres.history`."""
    until = datetime.fromisoformat(wait["until"]).astimezone(UTC)
    return f"  waits until {until:%Y-%m-%d %H:%M:%S} UTC: {wait['reason']}"


_HOOK: Final = ("hook", "kind")
_GIST: Final = ("code", "how", "psp_id", "retry_at", "reported", "decision", "score", "who", "evidence")
_HOOK_MORE: Final = ("failed", "failure_mode", "only", "never", "prefer")


def gist(data: dict[str, Any]) -> str:
    """Returns the part of an event's data that an operator reads, with its reason last."""
    names = (*_HOOK, *_GIST, *_HOOK_MORE) if "hook" in data else _GIST
    shown = {name: data[name] for name in names if data.get(name) not in (None, "", [])}
    if isinstance(decision := shown.get("decision"), dict):
        # All of it is what `aegispay policy explain` is for.
        shown["decision"] = f"{decision['account'] or 'no account'} by {decision['strategy']}"
    record = ", ".join(f"{name} {in_words(one)}" for name, one in shown.items())
    words = f" ({data['detail']})" if data.get("detail") else ""
    return record + words + (f": {data['reason']}" if data.get("reason") else "")
