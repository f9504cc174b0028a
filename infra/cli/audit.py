"""`aegispay verify`."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from infra.cli.options import Data, JsonFile
from infra.cli.output import write_json


def verify(
    json: JsonFile = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Wait at most so many seconds for what is in flight.")
    ] = 60.0,
    data: Data = None,
) -> None:
    """Compare commands, event store, read models and the simulator's ledger, payment by payment. Exit code 1: not clean."""
    from infra.cli.verdict import show
    from infra.target import settings_of
    from infra.verify import VerifySettings
    from infra.verify import verify as compare

    verdict = asyncio.run(compare(settings_of(VerifySettings, "audit", data), settle))
    if json != "-":
        show(verdict, Console())
    if json is not None:
        write_json(verdict.as_json(), json)
    raise typer.Exit(0 if verdict.ok else 1)
