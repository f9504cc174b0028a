"""`aegispay up`, `down`, `status`, `logs`, `doctor`: the local stack."""

import asyncio
import os
import signal
import time
from collections import deque
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json

if TYPE_CHECKING:
    from infra.tools.local.settings import StackSettings
    from infra.tools.local.stack import Stack
    from infra.tools.local.state import StackState

_EXIT_NOT_UP: Final = 3
_STOPPED_WITHIN_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.2
_READ_MAX: Final = 1_000_000
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


def down(data: Data = None, *, json: AsJson = False) -> None:
    """Stop the local stack in order, and wait for its end. Its data stays."""
    from infra.errors import LocalProblem
    from infra.tools.local.data import holder

    folder = _settings(data).data
    owner = holder(folder)
    if owner is not None:
        os.kill(owner, signal.SIGTERM)
        until = time.monotonic() + _STOPPED_WITHIN_S
        while holder(folder) == owner:
            if time.monotonic() > until:
                raise LocalProblem(
                    f"Process {owner} is not stopped after {_STOPPED_WITHIN_S:.0f} s",
                    f"See {folder / 'logs'}; `kill -9 {owner}` ends it and all that it started",
                )
            time.sleep(_LOOK_EVERY_S)
    if json:
        write_json({"up": False, "stopped": owner, "data": str(folder)})
    else:
        typer.echo(f"No stack was up in {folder}" if owner is None else f"Stopped process {owner}")


def _with_logs(ctx: typer.Context, incomplete: str) -> list[str]:
    from infra.errors import Misconfigured

    with suppress(Misconfigured, OSError):
        chosen = ctx.params.get("data")
        folder = _settings(Path(chosen) if chosen else None).data / "logs"
        return sorted(file.stem for file in folder.glob("*.log") if file.stem.startswith(incomplete))
    return []


def logs(
    processes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROCESS",
            help="As `aegispay status` names them, or download, which fetches Kafka; default: all.",
            autocompletion=_with_logs,
        ),
    ] = None,
    data: Data = None,
    *,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, help="Show this many of the last lines of each.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines until Ctrl-C.")] = False,
    json: AsJson = False,
) -> None:
    """Show what the local stack's processes wrote, also after it has stopped."""
    from infra.errors import Mistyped, NoStack

    if json and follow:
        raise Mistyped("--json prints one document, and --follow has no end", "Choose one of the two")
    folder = _settings(data).data / "logs"
    files = {file.stem: file for file in sorted(folder.glob("*.log"))} if folder.is_dir() else {}
    if not files:
        raise NoStack(f"No stack has run in {folder.parent}", "Start one: aegispay up")
    if unknown := sorted(set(processes or ()) - files.keys()):
        near = get_close_matches(unknown[0], files, 1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise Mistyped(
            f"There is no process {', '.join(unknown)}", f"{hint}There are logs of {', '.join(files)}"
        )
    chosen = {name: file for name, file in files.items() if name in (processes or files)}
    if json:
        write_json({name: _last_lines(file, last) for name, file in chosen.items()})
        return
    width = max(map(len, chosen))
    # The ends are noted first: lines that are written meanwhile come after those shown.
    ends = {name: file.stat().st_size for name, file in chosen.items()}
    for name, file in chosen.items():
        for line in _last_lines(file, last):
            typer.echo(f"{name:<{width}}  {line}")
    while follow:
        for name, file in chosen.items():
            size = file.stat().st_size
            # A log that became too long was renamed: its successor starts empty.
            text, ends[name] = _written(file, ends[name] if ends[name] <= size else 0)
            for line in text.splitlines():
                typer.echo(f"{name:<{width}}  {line}")
        time.sleep(_LOOK_EVERY_S)


def _last_lines(file: Path, last: int) -> list[str]:
    with file.open(errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, maxlen=last)]


def _written(file: Path, since: int) -> tuple[str, int]:
    """Returns what was written since the offset, whole lines only, and the offset where they end."""
    with file.open("rb") as content:
        content.seek(since)
        whole, newline, _ = content.read(_READ_MAX).rpartition(b"\n")
    return whole.decode(errors="replace"), since + len(whole) + len(newline)


def status(data: Data = None, *, json: AsJson = False) -> None:
    """Show whether the local stack is up, and its addresses. Exit code 3: it is not."""
    from infra.tools.local.state import StackState

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
    """Check what the local stack needs of this machine, with a remedy for each lack. Exit code 1:
    something is short."""
    from infra.tools.local.doctor import examine

    findings = list(examine(_settings(data)))
    well = all(finding.ok for finding in findings)
    if json:
        looked_at = [
            {"what": one.what, "ok": one.ok, "found": one.found, "remedy": one.remedy} for one in findings
        ]
        write_json({"ok": well, "findings": looked_at})
    else:
        for one in findings:
            say(f"{'ok   ' if one.ok else 'SHORT'}  {one.what}: {one.found}")
            if one.remedy:
                say(f"       {one.remedy}")
    raise typer.Exit(0 if well else 1)


async def _up(settings: "StackSettings", *, fresh: bool, as_json: bool) -> None:
    from infra.tools.local.stack import Stack

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
    """Returns False if the stack was stopped before it was ready."""
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return False
        starting.result()
        return True
    finally:
        stopping.cancel()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()

    def stop_requested() -> None:
        if stop.is_set():
            # A second signal ends the process at once; the kernel ends the children.
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested)
    return stop


def _show(state: "StackState", console: Console) -> None:
    from infra.tools.local.accounts import MERCHANTS
    from infra.tools.local.target import MERCHANT

    others = ", ".join(name for name in MERCHANTS if name != MERCHANT)
    lines = [
        ("API", f"{state.api_url}  (described at {state.api_url}/openapi.json)"),
        ("API key", state.api_key),
        ("merchants", f"{MERCHANT} (whose API key that is), {others}"),
        ("Kafka", state.kafka),
        ("PostgreSQL", state.database_url),
        ("simulator", state.simulator_url),
        ("data", str(state.data)),
    ]
    for one in state.processes:
        lines.append((one.name, f"{one.state}, process {one.pid}{one.again}  {one.metrics_url or ''}"))
        if one.ended:
            lines.append(("", f"  ended last {one.ended}"))
    for name, value in lines:
        console.print(f"  {name:<20}{value}", highlight=False, markup=False, soft_wrap=True)


def _settings(data: Path | None) -> "StackSettings":
    from infra.tools.local.target import stack_settings

    return stack_settings(data)
