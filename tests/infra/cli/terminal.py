"""The command `aegispay` as it is typed, in this process: one of its own takes most of a second to start."""

import asyncio
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from infra.cli import main


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, typed: str = "", **env: str) -> Done:
    """Without what the shell of the test run sets. `typed`: what is answered when it asks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(arguments, typed, env)
    with ThreadPoolExecutor(1) as other:  # a thread runs one event loop, and the test's is this one's
        return other.submit(_run, arguments, typed, env).result()


def _run(arguments: tuple[str, ...], typed: str, env: dict[str, str]) -> Done:
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as shell, redirect_stdout(output), redirect_stderr(errors):
        for name in [name for name in os.environ if name.startswith("AEGISPAY_")]:
            shell.delenv(name)
        for name, value in env.items():
            shell.setenv(name, value)
        shell.setattr(sys, "argv", ["aegispay", *arguments])
        shell.setattr(sys, "stdin", io.StringIO(typed))
        try:
            main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
    assert isinstance(code, int)
    return Done(code, output.getvalue(), errors.getvalue())
