"""`aegispay up`, `aegispay status`, `aegispay doctor`: the local stack."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from infra.cli.options import AsJson
from infra.cli.output import write_json

if TYPE_CHECKING:
    from infra.local.settings import StackSettings
    from infra.local.stack import Stack
    from infra.local.state import StackState

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where it keeps everything.", show_default=False)
]
_EXIT_NOT_UP: Final = 3
_CURL: Final = """\
curl -s {url}/v1/payments -H 'Authorization: Bearer {key}' -H 'Idempotency-Key: first' -H 'Prefer: wait=5' \
-H 'Content-Type: application/json' \
-d '{{"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}}'"""


def up(
    data: Data = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the data folder first.")] = False,
    json: AsJson = False,
) -> None:
    """Start everything on this machine and stay up; Ctrl-C stops it all."""
    asyncio.run(_up(_settings(data), fresh=fresh, as_json=json))


def status(data: Data = None, *, json: AsJson = False) -> None:
    """Whether the local stack is up, and its addresses. Exit code 3: it is not."""
    from infra.local.state import StackState

    folder = _settings(data).data
    found = StackState.find(folder)
    if json:
        write_json(found.model_dump(mode="json") if found else {"up": False, "data": str(folder)})
    elif found:
        _show(found, Console())
    else:
        typer.echo(f"No stack is up in {folder}. Start one: aegispay up")
    if not found:
        raise typer.Exit(_EXIT_NOT_UP)


def doctor(data: Data = None, *, json: AsJson = False) -> None:
    """Look at what the local stack needs of this machine, and say what to do. Exit code 1: something is short."""
    from infra.local.doctor import examine

    findings = list(examine(_settings(data)))
    well = all(finding.ok for finding in findings)
    if json:
        looked_at = [
            {"what": one.what, "ok": one.ok, "found": one.found, "remedy": one.remedy} for one in findings
        ]
        write_json({"ok": well, "findings": looked_at})
    else:
        console = Console()
        for one in findings:
            console.print(f"{'ok   ' if one.ok else 'SHORT'}  {one.what}: {one.found}", highlight=False)
            if one.remedy:
                console.print(f"       {one.remedy}", highlight=False)
    raise typer.Exit(0 if well else 1)


async def _up(settings: "StackSettings", *, fresh: bool, as_json: bool) -> None:
    from infra.local.stack import Stack

    console = Console(stderr=as_json)
    since = time.monotonic()

    def say(text: str) -> None:
        console.print(
            f"{time.monotonic() - since:6.1f} s  {text}", highlight=False, markup=False, soft_wrap=True
        )

    stop = _stop_on_signals()
    stack = Stack(settings, fresh=fresh, say=say)
    with console.status("starting"):
        if not await _started(stack, stop):
            return
    try:
        say("ready; Ctrl-C stops it")
        if as_json:
            write_json(stack.state.model_dump(mode="json"))
        else:
            _show(stack.state, console)
            key, url = stack.state.api_key, stack.state.api_url
            console.print("Try:", style="bold")
            console.print(_CURL.format(url=url, key=key), highlight=False, markup=False, soft_wrap=True)
        await stop.wait()
        say("stopping")
    finally:
        await stack.stop()


async def _started(stack: "Stack", stop: asyncio.Event) -> bool:
    """False: asked to stop first."""
    starting = asyncio.create_task(stack.start())
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return False
        starting.result()
        return True
    finally:
        asked.cancel()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            # A second time: at once. The kernel ends the children.
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    return stop


def _show(state: "StackState", console: Console) -> None:
    lines = [
        ("API", f"{state.api_url}  (described at {state.api_url}/openapi.json)"),
        ("API key", state.api_key),
        ("Kafka", state.kafka),
        ("PostgreSQL", state.database_url),
        ("simulator", state.simulator_url),
        ("data", str(state.data)),
    ]
    for one in state.processes:
        again = f", started again {one.restarts} times" if one.restarts else ""
        lines.append((one.name, f"{one.state}, process {one.pid}{again}  {one.metrics_url or ''}"))
    for name, value in lines:
        console.print(f"  {name:<12}{value}", highlight=False, markup=False, soft_wrap=True)


def _settings(data: Path | None) -> "StackSettings":
    from infra.local.settings import StackSettings

    return StackSettings(data=data.absolute()) if data else StackSettings()
