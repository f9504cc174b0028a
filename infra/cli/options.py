"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is standard output.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The local stack's data folder.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
