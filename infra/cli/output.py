"""The output of commands: JSON for scripts, or lines for an operator at the terminal."""

import sys
from typing import TYPE_CHECKING

import orjson
from rich.console import Console

if TYPE_CHECKING:
    from commands.client import ClientError
    from commands.reply import Reply


def say(text: str, *, error: bool = False) -> None:
    """Prints a line as it is, to standard output or, with `error`, to standard error."""
    Console(stderr=error).print(text, highlight=False, markup=False, soft_wrap=True)


def money(minor: int | None, currency: str | None) -> str:
    """Returns an amount with its currency, in decimals where ISO 4217 knows the currency."""
    from aggregates.money import CURRENCIES, Money

    if minor is None or currency is None:
        return "an unknown amount"
    return str(Money(minor, currency)) if currency in CURRENCIES else f"{minor} {currency} (minor units)"


def reason_of(code: str | None, detail: str | None) -> str:
    """Returns the reason to append to a line: the code, and the PSP's words or ours."""
    return "".join((f", {code}" if code else "", f": {detail}" if detail else ""))


def in_words(value: object) -> str:
    """Puts a part of a record into words: `a 0.5, b 0.5`. Leaves out what an object has no value for."""
    match value:
        case dict():
            shown = {name: one for name, one in value.items() if one not in (None, [], {})}
            return ", ".join(f"{name} {in_words(one)}" for name, one in shown.items()) or "nothing"
        case list() | tuple():
            between = "; " if any(isinstance(one, dict | list) for one in value) else " and "
            return between.join(map(in_words, value)) or "nothing"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case None | "":
            return "nothing"
        case _:
            return str(value)


def json_text(content: object) -> str:
    """Returns indented JSON, with a line's end after it."""
    raw = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return raw.decode()


def write_json(content: object) -> None:
    """Prints indented JSON on standard output."""
    sys.stdout.write(json_text(content))


def tell_reply(reply: "Reply", key: str, *, amount: str | None = None, as_json: bool) -> None:
    """Prints the reply, as lines or as JSON. `amount`: of the payment that a create made, in decimals."""
    if as_json:
        write_json(reply.model_dump(mode="json") | {"idempotency_key": key})
        return
    started = f"; {reply.operation_id} {reply.operation_state}" if reply.operation_id else ""
    say(f"{reply.payment_id}: {reply.status}{f' {amount}' if amount else ''}{started}")
    if reply.code or reply.detail:
        say(f"  reason: {reply.code or 'none was given'}{f': {reply.detail}' if reply.detail else ''}")
    if reply.action_url:
        say(f"  the customer has to go to {reply.action_url}")
    say(f"  key: {key}  (a repeat with this key only returns the result)")


def failure(what: str, where: str | None, remedy: str | None, exit_code: int) -> dict[str, object]:
    """Returns the content that --json prints for a failure. `where`: the field, setting, file or address
    at fault. `remedy`: None where `what` includes it."""
    return {"error": True, "what": what, "where": where, "remedy": remedy, "exit_code": exit_code}


def tell_error(error: "ClientError", key: str, exit_code: int, *, as_json: bool) -> None:
    """Prints why the command was refused, or why its outcome is unknown."""
    amounts: dict[str, int] = getattr(error, "amounts", {})
    if as_json:
        content = failure(str(error), getattr(error, "path", None), None, exit_code)
        more = {"code": getattr(error, "code", None), "amounts": amounts, "idempotency_key": key}
        write_json(content | more)
        return
    say(str(error), error=True)
    say(f"Idempotency key: {key}", error=True)
    if amounts:
        listed = ", ".join(f"{name.removesuffix('_minor')} {minor}" for name, minor in amounts.items())
        say(f"In minor units: {listed}", error=True)
