"""`aegispay gateway new`: writes the files of a new PSP, ready for the conformance suite."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import AsJson
from infra.cli.output import say, write_json

gateway = typer.Typer(no_args_is_help=True, help="Write the files of a new PSP")


@gateway.command()
def new(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The name in settings and topics: lower-case letters and digits"),
    ],
    *,
    title: Annotated[
        str | None,
        typer.Option(help="The name in prose; default: the name with a capital", show_default=False),
    ] = None,
    root: Annotated[Path, typer.Option(help="The checkout to write into")] = Path(),
    json: AsJson = False,
) -> None:
    """Write the adapter, simulator, tests, case book and table entries of a new PSP. It sends nothing yet."""
    from infra.tools.scaffold import gateway as scaffold

    written = scaffold.new(root, name, title or name.capitalize())
    if json:
        write_json({"written": [str(path) for path in written]})
        return
    for path in written:
        say(str(path))
    say(f"Next: docs/adding-a-gateway.md, and pytest tests/gateways/conformance -k {name}")
