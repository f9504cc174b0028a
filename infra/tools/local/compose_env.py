"""Writes the files that compose.yaml needs and no repository may hold: `.env` and `.compose/`.

`.compose/` is closed to others; the files in it are not, because compose mounts them with their modes and the
containers run as another user. Existing files stay: the databases were made with these passwords.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Final

from infra.tools.local import accounts

ROLES: Final = ("command", "relay", "gateway", "timers", "routing", "inbox", "read_models", "api", "audit")


def write(folder: Path) -> list[Path]:
    """Returns the files that were written; none if `.env` exists."""
    if (folder / ".env").exists():
        return []
    passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
    psp_secrets = accounts.make_secrets()
    variables = {f"{role.upper()}_PASSWORD": password for role, password in passwords.items()}
    variables |= {"POSTGRES_PASSWORD": secrets.token_urlsafe(24)}
    kept = folder / ".compose"
    kept.mkdir(mode=0o700, exist_ok=True)
    return [
        _write(
            kept / "roles.json", json.dumps({f"aegispay_{role}": word for role, word in passwords.items()})
        ),
        _write(kept / "accounts.toml", accounts.of_aegispay("http://simulator:8200", {})),
        _write(kept / "simulator.toml", accounts.of_simulator(psp_secrets, "http://api:8000", {})),
        *(_write(kept / f"{name}.key", secret) for name, secret in psp_secrets.items()),
        _write(kept / "return.key", secrets.token_hex(32)),
        _write(kept / "fingerprint.key", secrets.token_hex(32)),
        _write(folder / ".env", "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))),
    ]


def _write(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if path.name == ".env" else 0o644)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


if __name__ == "__main__":
    written = write(Path.cwd())
    sys.stdout.write(
        "".join(f"wrote {path}\n" for path in written) or "there is an .env already: nothing written\n"
    )
