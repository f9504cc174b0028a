"""Programs run in a copy of the checkout."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
AEGISPAY = ("-c", "from infra.cli import main; main()")
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not stack and not soak")


def suites(name: str) -> list[str]:
    """What tests a gateway."""
    return [f"tests/gateways/{folder}" for folder in (name, f"simulator/{name}", "conformance")]


def run(checkout: Path, *command: str, fails: bool = False) -> str:
    """What Python printed."""
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, capture_output=True, text=True, timeout=200, check=False
    )
    assert (done.returncode != 0) is fails, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
