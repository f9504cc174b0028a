"""`aegispay demo`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from infra.cli.options import Data, JsonFile
from infra.cli.output import write_json

if TYPE_CHECKING:
    from infra.demo import Demo


def demo(
    payments: Annotated[int, typer.Option(min=1, help="How many orders.")] = 200,
    rate: Annotated[float, typer.Option(min=0.1, help="Orders a second, on average.")] = 20.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same orders.")] = 1,
    json: JsonFile = None,
    data: Data = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the data folder first.")] = False,
) -> None:
    """A shop's orders end to end: sales, captures, voids, refunds, 3-D Secure, declines, slow and lost answers; and the
    verdict. Exit code 1: not clean.

    Uses the stack that runs, or starts one and stops it again.
    """
    from infra.cli.progress import counting, stack_for, to_its_end
    from infra.cli.verdict import show
    from infra.demo import run_demo

    console = Console(stderr=json == "-")

    async def run() -> "Demo":
        async with stack_for(console, data, fresh=fresh) as stack:
            with counting(console, "Orders settled", payments) as settled:
                return await run_demo(stack, payments=payments, rate=rate, seed=seed, settled=settled)

    result = to_its_end(run())
    assert result.verdict is not None
    show(result.verdict, console)
    for name, count in result.lived.most_common():
        console.print(f"orders {name}: {count}", highlight=False)
    for surprise in result.surprises:
        console.print(f"surprise: {surprise}")
    console.print(f"{result.orders} orders in {result.seconds:.1f} s, {result.by_http} of them by HTTP")
    if json is not None:
        write_json(result.as_json(), json)
    raise typer.Exit(0 if result.ok else 1)
