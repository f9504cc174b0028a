"""Fails where a folder of tests mirrors no folder of code, or a folder of code has none: `make check` runs
it."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Tests of the whole: they mirror no single folder.
OF_THE_WHOLE = {"system", "faults", "support"}
OF_EVERY_PSP = "gateways/conformance"  # one suite for all the folders beside it
CODE = {"aggregates", "commands", "gateways", "relay", "projections", "infra"}


def strays() -> list[str]:
    found = []
    for path in sorted((ROOT / "tests").rglob("*")):
        relative = path.relative_to(ROOT / "tests")
        if relative.parts[0] in OF_THE_WHOLE or "__pycache__" in relative.parts:
            continue
        if path.is_dir() and not (ROOT / relative).is_dir() and relative.as_posix() != OF_EVERY_PSP:
            found.append(f"tests/{relative} mirrors no folder of code")
        if path.name.startswith("test_") and path.suffix == ".py" and relative.parts[0] not in CODE:
            found.append(f"tests/{relative} stands beside the folders that mirror code")
    untested = CODE - {path.name for path in (ROOT / "tests").iterdir()}
    return found + [f"{name}/ has no folder of tests" for name in sorted(untested)]


if __name__ == "__main__":
    if problems := strays():
        sys.exit("\n".join(problems))
