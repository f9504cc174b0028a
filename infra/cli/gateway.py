"""A new PSP, from nothing to what the conformance suite can be run on."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import AsJson
from infra.cli.output import say, write_json

gateway = typer.Typer(no_args_is_help=True, help="Write the files of a new PSP")


@gateway.command()
def new(
    name: Annotated[
        str, typer.Argument(help="As settings and topics will call it: lower-case letters and digits")
    ],
    *,
    title: Annotated[
        str | None,
        typer.Option(help="As people call it; default: the name with a capital", show_default=False),
    ] = None,
    root: Annotated[Path, typer.Option(help="The checkout to write into")] = Path(),
    json: AsJson = False,
) -> None:
    """Write its adapter, its simulator, its tests, its case book, and its lines in the tables. It sends nothing yet."""
    from infra.scaffold import gateway as scaffold

    written = scaffold.new(root, name, title or name.capitalize())
    if json:
        write_json({"written": [str(path) for path in written]})
        return
    for path in written:
        say(str(path))
    say(f"Next: docs/adding-a-gateway.md, and pytest tests/gateways/conformance -k {name}")
