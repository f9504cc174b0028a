"""`aegispay demo`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from commands.wording import counted
from infra.cli.options import AsJson, Data
from infra.cli.output import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from infra.tools.demo import Demo


def demo(
    payments: Annotated[int, typer.Option(min=1, help="How many orders.")] = 200,
    rate: Annotated[float, typer.Option(min=0.1, help="Orders per second, on average.")] = 20.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same orders.")] = 1,
    data: Data = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the data folder first.")] = False,
    json: AsJson = False,
) -> None:
    """Play a shop's orders end to end: sales, captures, voids, refunds, 3-D Secure, declines, slow and lost
    responses, an order that a fraud hook denies and one that a person allows; and print the verdict on all
    of them.

    Starts the stack if none is up in the data folder, and stops it afterwards. Exit code 1: the verdict is
    not clean, or an order ended otherwise than its lifecycle should.
    """
    from infra.cli.progress import counting, stack_for, to_its_end
    from infra.cli.verdict import show
    from infra.tools.demo import run_demo
    from infra.tools.demo_fraud import PLACE

    console = Console(stderr=json)

    async def run() -> "tuple[Demo, Path]":
        async with stack_for(console, data, fresh=fresh, hooks=PLACE) as stack:
            with counting(console, "Orders settled", payments) as settled:
                result = await run_demo(stack, payments=payments, rate=rate, seed=seed, settled=settled)
        return result, stack.data

    result, folder = to_its_end(run())
    assert result.verdict is not None
    show(result.verdict, console)
    for name, count in result.lived.most_common():
        console.print(f"orders {name}: {count}", highlight=False)
    for one in result.checked:
        console.print(f"order {one.idempotency_key}: {one.story}", highlight=False, soft_wrap=True)
    if not result.checked:
        console.print("the stack runs without the demo's fraud hook: it was up before", highlight=False)
    for surprise in result.surprises:
        console.print(f"surprise: {surprise}")
    for late in result.late:
        console.print(f"late: {late}")
    console.print(
        f"{counted(result.orders, 'order')} in {result.seconds:.1f} s, {result.by_http} of them by HTTP"
    )
    console.print(
        f"Payments, logs and keys are kept in {folder}; --fresh starts with none, --data DIR uses another folder",
        highlight=False,
        soft_wrap=True,
    )
    if json:
        write_json(result.as_json())
    raise typer.Exit(0 if result.ok else 1)
