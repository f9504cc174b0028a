"""Chooses the installation that a command acts on: the one that AEGISPAY_… variables name, or else the
running local stack."""

import os
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic_settings import BaseSettings

from infra.errors import Misconfigured
from infra.settings import read

_NAMED: Final = ("AEGISPAY_KAFKA", "AEGISPAY_DATABASE_URL")

S = TypeVar("S", bound=BaseSettings)


def settings_of(kind: type[S], role: Literal["audit", "admin"], data: Path | None = None) -> S:
    """Returns the settings of the local stack in `data`; if that is None, of the installation that the
    environment names, or else of the default local stack.

    `role`: the rights with which the local stack's database is opened; the environment names its own. Raises
    `Misconfigured`, `NoStack`.
    """
    named = [name for name in _NAMED if os.environ.get(name)]
    if data is None and named:
        try:
            return read(kind)
        except Misconfigured as error:
            text = f"{error}\nOr unset {' and '.join(named)} to use the local stack"
            raise Misconfigured(text) from None
    # Imported here: an image has no local stack, and all its commands go by the environment.
    from infra.tools.local.state import StackState
    from infra.tools.local.target import of_stack, stack_settings

    return of_stack(kind, StackState.require(stack_settings(data).data), role)
