"""`aegispay doubt`: the money whose outcome is unknown, and an operator's decisions about it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from infra.cli.at_risk import list_
from infra.cli.options import (
    AsJson,
    Data,
    Evidence,
    OperationName,
    PaymentName,
    Wait,
    Who,
    Yes,
    minor,
    payment_of,
)
from infra.cli.output import money, say, write_json
from infra.cli.session import send
from infra.errors import Mistyped, NotDone

if TYPE_CHECKING:
    from commands.client import Client
    from commands.reply import Reply

doubt = typer.Typer(help="Payments in doubt, and an operator's decisions about them.", no_args_is_help=True)
doubt.command("list")(list_)

_Decision = Literal["opened", "won", "lost", "closed"]


@doubt.command()
def show(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """Show the history of one payment: every call to the PSP and its result."""
    from infra.cli.show import found, tell_state

    record = found(payment, data)
    if json:
        write_json(record)
        return
    tell_state(record)
    for operation in record.get("operations", []):
        say(f"\n{operation['operation_id']}: {operation['kind']} of {operation['amount']}")
        for event in record["events"]:
            if event["operation_id"] == operation["operation_id"]:
                say(f"  {event['at'].isoformat(timespec='milliseconds')}  {_line_of(event)}")
    for dispute in record.get("disputes", []):
        amount = money(dispute["amount_minor"], dispute["currency"])
        say(
            f"\ndispute {dispute['dispute_id']}: {dispute['state']}, {amount}, {dispute['reason'] or 'no reason'}"
        )
        say("  To say how it stands, with the PSP's dashboard open:")
        say(
            f"  aegispay doubt dispute {record['payment_id']} {dispute['dispute_id']} --is opened|won|lost|closed …"
        )
    if to_decide := _to_decide(record):
        say("\nTo decide it, with the PSP's dashboard open at one of these references:")
        for name in to_decide:
            command = f"  aegispay doubt resolve {record['payment_id']} --operation {name}"
            for which in _ids_of(record, name):
                say(f"{command}{which} --charged|--not-charged …")


@doubt.command()
def resolve(
    payment: PaymentName,
    *,
    charged: Annotated[bool, typer.Option("--charged", help="The PSP has executed it.")] = False,
    not_charged: Annotated[bool, typer.Option("--not-charged", help="The PSP has not executed it.")] = False,
    evidence: Evidence,
    who: Who,
    amount: Annotated[
        str | None,
        typer.Option(
            help="With --charged: the amount that the PSP executed, if it differs from the request."
        ),
    ] = None,
    operation: OperationName = None,
    psp_id: Annotated[
        str | None,
        typer.Option(
            "--psp-id",
            help="The PSP's id that the decision is about, if the PSP executed it twice or AegisPay knows no id.",
        ),
    ] = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Record an operator's decision about an operation in doubt. Exit code 1: it was refused."""
    from infra.cli.show import found

    if charged == not_charged:
        what = "--charged and --not-charged exclude each other" if charged else "Nothing was decided"
        raise Mistyped(what, "Say --charged or --not-charged")
    if not_charged and amount is not None:
        raise Mistyped(
            "--amount is what the PSP executed", "Say --charged, or leave out --amount", "--amount"
        )
    record = found(payment, data)
    name = _chosen(record, operation)
    decision: Literal["charged", "not_charged"] = "charged" if charged else "not_charged"
    amount_minor = None if amount is None else minor(amount, record["currency"])
    require_yes(yes=yes, as_json=json)
    if not yes:
        shown = _rows_of(record, name, decision=decision, amount_minor=amount_minor)
        which = {} if psp_id is None else {"id at the PSP": psp_id}
        _confirm(record, shown | which | {"evidence": evidence, "who": who})

    async def command(client: "Client", key: str) -> "Reply":
        return await client.resolve(
            payment_of(payment),
            idempotency_key=key,
            operation_id=name,
            decision=decision,
            amount_minor=amount_minor,
            psp_id=psp_id,
            evidence=evidence,
            who=f"{who} (aegispay doubt resolve)",
        )

    send(_merchant(record), data, None, command, as_json=json)


@doubt.command()
def dispute(
    payment: PaymentName,
    dispute_id: Annotated[str, typer.Argument(metavar="DISPUTE", help="The PSP's id of the dispute.")],
    *,
    is_: Annotated[_Decision, typer.Option("--is", help="The state: opened and lost take the amount.")],
    evidence: Evidence,
    who: Who,
    amount: Annotated[
        str | None, typer.Option(help="The amount that the bank took, if it differs from the PSP's report.")
    ] = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Record an operator's decision about a dispute. It stands until the PSP reports something later. Exit
    code 1: it was refused."""
    from infra.cli.show import found

    record = found(payment, data)
    merchant = _merchant(record)
    amount_minor = None if amount is None else minor(amount, record["currency"])
    require_yes(yes=yes, as_json=json)
    if not yes:
        taken = "" if amount_minor is None else f", {money(amount_minor, record['currency'])}"
        _confirm(record, {"dispute": f"{dispute_id} is {is_}{taken}", "evidence": evidence, "who": who})

    async def command(client: "Client", key: str) -> "Reply":
        return await client.resolve_dispute(
            payment_of(payment),
            idempotency_key=key,
            dispute_id=dispute_id,
            decision=is_,
            amount_minor=amount_minor,
            evidence=evidence,
            who=f"{who} (aegispay doubt dispute)",
        )

    send(merchant, data, None, command, as_json=json)


@doubt.command()
def query(
    payment: PaymentName,
    *,
    operation: OperationName = None,
    wait: Wait = 15.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Query the PSP now, wait for the result and show it. Exit code 1: refused, or still in doubt."""
    from infra.cli.show import found

    async def command(client: "Client", key: str) -> "Reply":
        from commands.client import NotSettled

        reply = await client.retry_status_query(
            payment_of(payment), idempotency_key=key, operation_id=operation
        )
        try:
            return await client.wait(reply, wait)
        except NotSettled as late:
            responses = _responses(found(payment, data), after=reply.version or 0)
            raise NotDone(
                f"payment {reply.payment_id} is {late.status} after {wait:g} s; {responses}",
                "AegisPay goes on querying the PSP by itself: `aegispay doubt show` has all its responses",
            ) from None

    send(_merchant(found(payment, data)), data, None, command, as_json=json)


def _responses(record: dict[str, Any], *, after: int) -> str:
    """Returns in words what the PSP responded to queries since the payment's version `after`."""
    lines = [
        _line_of(event)
        for event in record["events"]
        if event["version"] > after and event["data"].get("source") == "query"
    ]
    return f"the PSP responded: {'; '.join(lines)}" if lines else "the PSP has not responded yet"


def require_yes(*, yes: bool, as_json: bool) -> None:
    """Raises `Mistyped` where --json leaves nobody to ask for confirmation."""
    if as_json and not yes:
        raise Mistyped("With --json there is no confirmation", "Add --yes")


def _merchant(record: dict[str, Any]) -> str:
    merchant: str | None = record.get("merchant_id")
    if merchant is None:
        raise NotDone(
            f"{record['payment_id']} cannot be read: {record['status']}",
            "It is parked: `aegispay parked list` shows the reason",
        )
    return merchant


def _to_decide(record: dict[str, Any]) -> list[str]:
    """Returns operations in doubt, and those whose reports contradict the record."""
    unknown = [one["operation_id"] for one in record.get("operations", []) if one["open"]]
    return unknown + [name for name in record.get("frozen_by", []) if name not in unknown]


def _ids_of(record: dict[str, Any], name: str) -> list[str]:
    """Returns the option for each of its ids at the PSP if that executed it twice, or else one empty text."""
    others = record.get("second_ids", {}).get(name, [])
    own = [one["psp_id"] for one in record["operations"] if one["operation_id"] == name]
    return [f" --psp-id {one}" for one in own + others] if others else [""]


def _chosen(record: dict[str, Any], operation: str | None) -> str:
    _merchant(record)
    if operation is not None:
        return operation
    names = _to_decide(record)
    if len(names) != 1:
        what = "Nothing of it is in doubt" if not names else "More than one of its operations is in doubt"
        remedy = "`aegispay doubt list` shows what is" if not names else f"Name one: {', '.join(names)}"
        raise NotDone(what, remedy)
    return names[0]


def _confirm(record: dict[str, Any], rows: dict[str, str]) -> None:
    """Shows the payment and what is to be recorded, and asks for confirmation. Aborts unless it is given."""
    say(f"{record['payment_id']}: {record['status']}")
    width = max(map(len, rows)) + 1
    for name, text in rows.items():
        say(f"  {f'{name}:':<{width}} {text}")
    typer.confirm("Record this?", abort=True)


def _rows_of(record: dict[str, Any], name: str, *, decision: str, amount_minor: int | None) -> dict[str, str]:
    operation = next((one for one in record["operations"] if one["operation_id"] == name), None)
    requested = "an operation that AegisPay does not know" if operation is None else _requested(operation)
    amount = "" if amount_minor is None else f", {money(amount_minor, record['currency'])}"
    meaning = (
        f"executed at the PSP{amount}"
        if decision == "charged"
        else "not executed, and no call of it will be sent again"
    )
    return {"operation": f"{name}, {requested}", "decision": f"{decision}: {meaning}"}


def _requested(operation: dict[str, Any]) -> str:
    return (
        f"{operation['kind']} of {operation['amount']} at {operation['account']}, "
        f"{operation['psp_id'] or 'no id at the PSP'}, now {operation['state']}"
    )


def _line_of(event: dict[str, Any]) -> str:
    """Returns a call or its result as one line."""
    data, kind = event["data"], event["type"].removesuffix(".v1").partition(".")[2]
    if kind == "started":
        return f"sent to {data['gateway']}/{data['account']}: {data['reason']}"
    if kind == "follow_up_requested":
        return f"requested again ({data['how']} {data['follow_up']}): {data['reason']}"
    record = [
        f"{name.removesuffix('_minor')} {data[name]}"
        for name in (
            "code",
            "psp_id",
            "amount_minor",
            "currency",
            "reported_state",
            "captured_minor",
            "refunded_minor",
            "held_minor",
            "reason",
            "decision",
            "who",
            "evidence",
        )
        if data.get(name) is not None
    ]
    source = f" by {data['source']}" if data.get("source") else ""
    return f"{kind}{source}: {', '.join(record) or 'no details'}" + (
        f" ({data['detail']})" if data.get("detail") else ""
    )
