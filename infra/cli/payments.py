"""`aegispay pay` and `aegispay show`."""

import asyncio
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from infra.cli.options import AsJson, Data
from infra.cli.output import write_json
from infra.local.problem import LocalProblem


def pay(
    amount: Annotated[str, typer.Argument(help="As people write it: 10.99; 500 for JPY.")],
    currency: Annotated[str, typer.Argument(help="ISO 4217, e.g. EUR.")],
    *,
    method: Annotated[str, typer.Option(help="The PSP's payment token.")] = "pm_card_visa",
    customer: Annotated[str | None, typer.Option(help="Your customer's id.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key; default: a new one.")] = None,
    merchant: Annotated[str, typer.Option(help="On whose behalf.")] = "demo",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the end.")] = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Make one payment over Kafka and wait until it has ended. Exit code 1: it was refused or has not ended."""
    from commands.client import Client, ClientError
    from commands.messages import Reply
    from infra.settings import KafkaSettings
    from infra.shop import run_name
    from infra.target import settings_of

    amount_minor = _minor(amount, currency.upper())
    settings = settings_of(KafkaSettings, "audit", data)

    async def run() -> Reply:
        async with Client(settings.kafka, merchant_id=merchant, topic_prefix=settings.topic_prefix) as client:
            return await client.pay(
                timeout_s=wait,
                idempotency_key=key or f"cli-{run_name()}",
                amount_minor=amount_minor,
                currency=currency.upper(),
                payment_method=method,
                customer_id=customer,
            )

    try:
        reply = asyncio.run(run())
    except ClientError as error:
        if json:
            write_json({"error": type(error).__name__, "detail": str(error)})
        else:
            Console(stderr=True).print(str(error), highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if json:
        write_json(reply.model_dump(mode="json"))
    else:
        Console().print(f"{reply.payment_id}: {reply.status}", highlight=False)
    raise typer.Exit(0 if reply.status == "CAPTURED" else 1)


def _minor(text: str, currency: str) -> int:
    from aggregates.money import CURRENCIES, exponent

    if currency not in CURRENCIES:
        raise LocalProblem(f"AegisPay does not take {currency}", f"It takes {', '.join(CURRENCIES)}")
    try:
        minor = Decimal(text).scaleb(exponent(currency))
    except InvalidOperation:
        minor = Decimal("NaN")
    if not minor.is_finite() or minor != minor.to_integral_value():
        digits = exponent(currency)
        raise LocalProblem(
            f"{text} is no amount in {currency}", f"{currency} has {digits} decimals; write e.g. 10.99"
        )
    return int(minor)


def show(
    payment: Annotated[str, typer.Argument(help="A payment's id, or the id of one of its operations.")],
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """One payment: how it stands, its operations, and every event with its reason."""
    from aggregates.operation import payment_id_of
    from infra.database import connect
    from infra.history import history
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    try:
        payment_id = payment_id_of(payment) if len(payment) != 36 else UUID(payment)
    except ValueError:
        raise LocalProblem(
            f"{payment} is no payment's id", "It looks like e1b49c14-8d3e-537c-90a9-489eec1ba441"
        ) from None
    with connect(settings_of(DatabaseSettings, "audit", data), "show") as connection:
        found = history(connection, payment_id)
    if found is None:
        raise LocalProblem(
            f"There is no payment {payment_id}", "Was its command sent? `aegispay dead-letters list`"
        )
    if json:
        write_json(found)
    else:
        _print(found, Console())


def _print(found: dict[str, Any], console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"{found['payment_id']}: {found['status']}{' FROZEN' if found.get('frozen') else ''}")
    for name in (
        "amount",
        "merchant_id",
        "customer_id",
        "idempotency_key",
        "reason",
        "correlation_id",
        "why",
    ):
        if found.get(name) is not None:
            say(f"  {name}: {found[name]}")
    if found["parked"] is not None:
        say(f"  parked since {found['parked']['since']}: {found['parked']['reason']}")
    if found["timer"] is not None and found["timer"]["wake_at"] is not None:
        say(f"  looked at again at {found['timer']['wake_at']}")
    for operation in found.get("operations", []):
        say(
            f"  {operation['operation_id']}: {operation['state']}, {operation['amount']}, "
            f"{operation['gateway']}/{operation['account']}, {operation['psp_id'] or 'no id at the PSP'}"
        )
    for claim in found["claims"]:
        say(f"  step {claim['step']} of {claim['operation_id']}: {claim['state']}, {claim['tries']} tries")
    say("")
    for event in found["events"]:
        data = event["data"]
        told = [
            f"{name} {data[name]}"
            for name in ("code", "how", "psp_id", "retry_at", "reported", "why")
            if data.get(name)
        ]
        because = f": {data['because']}" if data.get("because") else ""
        say(f"{event['version']:>4}  {event['at'].isoformat()}  {event['type']}  {', '.join(told)}{because}")
