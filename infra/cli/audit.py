"""`aegispay verify`."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from infra.cli.options import AsJson, Data
from infra.cli.output import write_json


def verify(
    settle: Annotated[float, typer.Option(min=0, help="Seconds to wait at most for work in flight.")] = 60.0,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Compare commands, event store, read models and the simulator's ledger, payment by payment. Exit code
    1: not clean."""
    from infra.cli.target import settings_of
    from infra.cli.verdict import show
    from infra.tools.audit.verify import VerifySettings
    from infra.tools.audit.verify import verify as compare

    verdict = asyncio.run(compare(settings_of(VerifySettings, "audit", data), settle))
    show(verdict, Console(stderr=json))
    if json:
        write_json(verdict.as_json())
    raise typer.Exit(0 if verdict.ok else 1)
