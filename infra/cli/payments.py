"""`aegispay pay`: the commands of a payment's life, sent over Kafka as a producer does."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.cli.options import (
    Amount,
    AsJson,
    Data,
    Key,
    Merchant,
    OperationName,
    PaymentName,
    Wait,
    minor,
    payment_of,
)
from infra.cli.output import reason_of, say, write_json
from infra.cli.session import send
from infra.errors import Mistyped

if TYPE_CHECKING:
    from commands.client import Client
    from commands.reply import Reply

pay = typer.Typer(
    help="Take a payment, and capture, void, refund or cancel it. Exit code 1: refused, not executed, or not ended.",
    no_args_is_help=True,
)


@pay.command()
def create(
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In decimals: 10.99; 500 for JPY.")],
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="ISO 4217, e.g. EUR.")],
    *,
    manual: Annotated[bool, typer.Option("--manual", help="Authorize only; capture it later.")] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            show_default="pm_card_visa",
            help="The PSP's token behind its name: stripe:pm_…, adyen:…, paypal:card:…, braintree:…, razorpay:… Repeat it "
            "with one token for each PSP that may take the payment.",
        ),
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Your customer's id.")] = None,
    return_page: Annotated[
        str | None, typer.Option(help="The page to which the customer returns after a challenge.")
    ] = None,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Take a payment, and wait until it has settled."""
    from aggregates.money import Money

    methods = method or ["pm_card_visa"]
    tokens = _tokens(methods)
    amount_minor = minor(amount, currency.upper())
    # A card number in place of a token is looked for first, so that no message quotes it.
    _require_sendable(
        merchant,
        key,
        amount_minor=amount_minor,
        currency=currency.upper(),
        **tokens,
        customer_id=customer,
        return_page=return_page,
    )
    _require_gateways(methods)

    async def command(client: "Client", key: str) -> "Reply":
        return await client.pay(
            timeout_s=wait,
            idempotency_key=key,
            amount_minor=amount_minor,
            currency=currency.upper(),
            capture="manual" if manual else "automatic",
            **tokens,
            customer_id=customer,
            return_page=return_page,
        )

    amount_shown = str(Money(amount_minor, currency.upper()))
    reply = send(merchant, data, key, command, amount=amount_shown, as_json=json)
    raise typer.Exit(0 if reply.status in {"CAPTURED", "AUTHORIZED"} else 1)


@pay.command()
def capture(
    payment: PaymentName,
    amount: Amount = None,
    *,
    final: Annotated[bool, typer.Option("--final", help="Release the rest afterwards.")] = False,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Capture what was authorized."""
    name, wanted = payment_of(payment), _wanted(payment, amount, data)
    _run(
        lambda client, key: client.capture(name, idempotency_key=key, amount_minor=wanted, final=final),
        merchant,
        key,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def void(
    payment: PaymentName,
    *,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Release what is authorized and not captured."""
    name = payment_of(payment)
    _run(
        lambda client, key: client.void(name, idempotency_key=key),
        merchant,
        key,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def refund(
    payment: PaymentName,
    amount: Amount = None,
    *,
    reason: Annotated[str | None, typer.Option(help="Recorded with the refund.")] = None,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Refund what was captured."""
    name, wanted = payment_of(payment), _wanted(payment, amount, data)
    _run(
        lambda client, key: client.refund(name, idempotency_key=key, amount_minor=wanted, reason=reason),
        merchant,
        key,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def cancel(
    payment: PaymentName,
    *,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Cancel the payment: end what is under way, release what is authorized."""
    name = payment_of(payment)
    _run(
        lambda client, key: client.cancel(name, idempotency_key=key),
        merchant,
        key,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def complete(
    payment: PaymentName,
    *,
    operation: OperationName = None,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Query the PSP after the customer came back from a challenge."""
    name = payment_of(payment)
    _run(
        lambda client, key: client.complete_action(name, idempotency_key=key, operation_id=operation),
        merchant,
        key,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def status(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """Show the payment's state in a few lines; `aegispay show` has all of it."""
    from aggregates.money import Money
    from infra.cli.show import found, waits_line

    record = found(payment, data)
    shown = record["read_model"] or {}
    totals = {name: record[name] for name in record if name.endswith("_minor")}
    action_url = shown.get("action_url") if record["status"] == "REQUIRES_ACTION" else None
    if json:
        write_json(
            {name: record.get(name) for name in ("payment_id", "status", "amount", "reason", "detail")}
            | {"waits": record.get("waits", []), "action_url": action_url}
            | totals
        )
        return
    say(
        f"{record['payment_id']}: {record['status']}{' FROZEN' if record.get('frozen') else ''}"
        f"{reason_of(record.get('reason'), record.get('detail'))}"
    )
    for wait in record.get("waits", []):
        say(waits_line(wait))
    for name, amount_minor in totals.items():
        if amount_minor:
            say(f"  {name.removesuffix('_minor')}: {Money(amount_minor, record['currency'])}")
    if action_url:
        say(f"  the customer has to go to {action_url}")


def _tokens(methods: list[str]) -> dict[str, str | dict[str, str]]:
    """Returns the fields of a create for one token, or for one of each PSP. Raises `Mistyped` where two are
    of one PSP."""
    if len(methods) == 1:
        return {"payment_method": methods[0]}
    by_gateway: dict[str, str] = {}
    for method in methods:
        name, colon, token = method.partition(":")
        if not colon:  # what it lacks is said later, once it is known to be no card number
            name, token = f"unnamed-{len(by_gateway)}", method
        if name in by_gateway:
            raise Mistyped(
                "two --method have the same name", "Give one token for each PSP, behind its name.", "--method"
            )
        by_gateway[name] = token
    return {"payment_methods": by_gateway}


def _require_gateways(methods: list[str]) -> None:
    """Raises `Mistyped` for a token that names no PSP. No card number is among them, since it is quoted."""
    from gateways.registry import ADAPTERS, stray_prefix

    for method in methods:
        name = method.partition(":")[0]
        remedy = stray_prefix(method)
        if remedy is None and len(methods) > 1 and name not in ADAPTERS:
            remedy = f"write each of several tokens behind its PSP's name: {', '.join(ADAPTERS)}"
        if remedy is not None:
            raise Mistyped(f"{name} is no PSP's name", f"In --method {remedy}", "--method")


_OPTIONS: Final = {
    "payment_method": "--method",
    "payment_methods": "--method",
    "customer_id": "--customer",
    "return_page": "--return-page",
    "idempotency_key": "--key",
    "merchant_id": "--merchant",
    "amount_minor": "the amount",
}


def _require_sendable(merchant: str, key: str | None, **fields: object) -> None:
    """Raises `Mistyped` for a create that AegisPay would refuse. Needs no stack."""
    from datetime import UTC, datetime
    from uuid import uuid4

    import orjson

    from commands.ids import payment_id
    from commands.messages import InvalidMessage
    from commands.parsing import parse_command

    chosen = key or "cli"
    content = {
        "type": "create_payment.v1",
        "command_id": uuid4(),
        "payment_id": payment_id(merchant, chosen),
        "merchant_id": merchant,
        "idempotency_key": chosen,
        "expires_at": datetime.now(UTC),
        **fields,
    }
    try:
        parse_command(orjson.dumps(content))
    except InvalidMessage as invalid:
        option = _OPTIONS.get((invalid.path or "").partition(".")[0], invalid.path)
        raise Mistyped(f"{option} cannot be sent: {invalid.detail}", "Nothing was sent", option) from None


def _run(
    command: Callable[["Client", str], Awaitable["Reply"]],
    merchant: str,
    key: str | None,
    wait_s: float,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Sends the command and exits with 0 if what it started was executed, or if it started nothing and the
    payment is settled."""

    async def ended(client: "Client", chosen: str) -> "Reply":
        return await client.wait(await command(client, chosen), wait_s)

    reply = send(merchant, data, key, ended, as_json=as_json)
    raise typer.Exit(0 if reply.operation_state in {"APPROVED", None} else 1)


def _wanted(payment: str, amount: str | None, data: Path | None) -> int | None:
    """Returns the amount in minor units of the payment's currency; None: all that is left."""
    from infra.cli.show import found

    return None if amount is None else minor(amount, found(payment, data)["currency"])
