"""What a command says: as JSON for scripts, or for the person at the terminal."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.console import Console

if TYPE_CHECKING:
    from commands.client import ClientError
    from commands.messages import Reply


def say(text: str, *, error: bool = False) -> None:
    Console(stderr=error).print(text, highlight=False, markup=False, soft_wrap=True)


def write_json(content: object, file: str = "-") -> None:
    """To `file`, or to standard output."""
    raw = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if file == "-":
        sys.stdout.write(raw.decode())
    else:
        Path(file).write_bytes(raw)


def tell_reply(reply: "Reply", *, as_json: bool) -> None:
    if as_json:
        write_json(reply.model_dump(mode="json"))
        return
    started = f"; {reply.operation_id} {reply.operation_state}" if reply.operation_id else ""
    say(f"{reply.payment_id}: {reply.status}{started}")


def tell_error(error: "ClientError", *, as_json: bool) -> None:
    """Why it was refused, or why its end is not known."""
    amounts: dict[str, int] = getattr(error, "amounts", {})
    if as_json:
        code = getattr(error, "code", None)
        write_json({"error": type(error).__name__, "code": code, "detail": str(error), "amounts": amounts})
        return
    say(str(error), error=True)
    if amounts:
        told = ", ".join(f"{name.removesuffix('_minor')} {minor}" for name, minor in amounts.items())
        say(f"In minor units: {told}", error=True)
