"""`aegispay pay`: each command of a payment's life, sent over Kafka as a producer does."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.asking import asked, new_key
from infra.cli.options import AsJson, Data, OperationName, PaymentName, Wait, minor, payment_of
from infra.cli.output import say, write_json

if TYPE_CHECKING:
    from commands.client import Client
    from commands.messages import Reply

pay = typer.Typer(
    help="Take a payment, and capture, void, refund or cancel it. Exit code 1: refused, not executed, or not ended.",
    no_args_is_help=True,
)

Merchant = Annotated[str, typer.Option(help="On whose behalf.")]
Key = Annotated[str | None, typer.Option(help="Idempotency key; default: a new one.")]
Amount = Annotated[
    str | None, typer.Argument(help="As people write it; default: all that is left.", show_default=False)
]


@pay.command()
def create(
    amount: Annotated[str, typer.Argument(help="As people write it: 10.99; 500 for JPY.")],
    currency: Annotated[str, typer.Argument(help="ISO 4217, e.g. EUR.")],
    *,
    manual: Annotated[bool, typer.Option("--manual", help="Authorize only; capture it later.")] = False,
    method: Annotated[str, typer.Option(help="The PSP's payment token.")] = "pm_card_visa",
    customer: Annotated[str | None, typer.Option(help="Your customer's id.")] = None,
    return_page: Annotated[
        str | None, typer.Option(help="Where the customer goes after a challenge.")
    ] = None,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Take a payment, and wait until it has come to rest."""
    amount_minor = minor(amount, currency.upper())

    async def ask(client: "Client") -> "Reply":
        return await client.pay(
            timeout_s=wait,
            idempotency_key=key or new_key(),
            amount_minor=amount_minor,
            currency=currency.upper(),
            capture="manual" if manual else "automatic",
            payment_method=method,
            customer_id=customer,
            return_page=return_page,
        )

    reply = asked(merchant, data, ask, as_json=json)
    raise typer.Exit(0 if reply.status in {"CAPTURED", "AUTHORIZED"} else 1)


@pay.command()
def capture(
    payment: PaymentName,
    amount: Amount = None,
    *,
    final: Annotated[bool, typer.Option("--final", help="Release what is left after it.")] = False,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Capture what was authorized."""
    name, wanted = payment_of(payment), _wanted(payment, amount, data)
    _run(
        lambda client: client.capture(
            name, idempotency_key=key or new_key(), amount_minor=wanted, final=final
        ),
        merchant,
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
        lambda client: client.void(name, idempotency_key=key or new_key()),
        merchant,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def refund(
    payment: PaymentName,
    amount: Amount = None,
    *,
    reason: Annotated[str | None, typer.Option(help="Kept with it.")] = None,
    key: Key = None,
    merchant: Merchant = "demo",
    wait: Wait = 30.0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give back what was captured."""
    name, wanted = payment_of(payment), _wanted(payment, amount, data)
    _run(
        lambda client: client.refund(
            name, idempotency_key=key or new_key(), amount_minor=wanted, reason=reason
        ),
        merchant,
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
    """Take nothing: end what is under way, release what is authorized."""
    name = payment_of(payment)
    _run(
        lambda client: client.cancel(name, idempotency_key=key or new_key()),
        merchant,
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
    """The customer came back from a challenge: ask the PSP how it went."""
    name = payment_of(payment)
    _run(
        lambda client: client.complete_action(name, idempotency_key=key or new_key(), operation_id=operation),
        merchant,
        wait,
        data,
        as_json=json,
    )


@pay.command()
def status(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """How it stands, in a few lines; `aegispay show` has all of it."""
    from aggregates.money import Money
    from infra.cli.show import found

    told = found(payment, data)
    shown = told["read_model"] or {}
    sums = {name: told[name] for name in told if name.endswith("_minor")}
    action_url = shown.get("action_url") if told["status"] == "REQUIRES_ACTION" else None
    if json:
        write_json(
            {"payment_id": told["payment_id"], "status": told["status"], "action_url": action_url} | sums
        )
        return
    say(f"{told['payment_id']}: {told['status']}{' FROZEN' if told.get('frozen') else ''}")
    for name, amount_minor in sums.items():
        if amount_minor:
            say(f"  {name.removesuffix('_minor')}: {Money(amount_minor, told['currency'])}")
    if action_url:
        say(f"  the customer has to go to {action_url}")


def _run(
    ask: Callable[["Client"], Awaitable["Reply"]],
    merchant: str,
    wait_s: float,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Exits with 0 where what it started was executed, or where it started nothing and the payment is settled."""

    async def ended(client: "Client") -> "Reply":
        return await client.wait(await ask(client), wait_s)

    reply = asked(merchant, data, ended, as_json=as_json)
    raise typer.Exit(0 if reply.operation_state in {"APPROVED", None} else 1)


def _wanted(payment: str, amount: str | None, data: Path | None) -> int | None:
    """In the payment's currency."""
    from infra.cli.show import found

    return None if amount is None else minor(amount, found(payment, data)["currency"])
