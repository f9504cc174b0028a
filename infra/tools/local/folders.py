"""The folders of the local stack: a cache, which may be deleted at any time, and one folder of data."""

import os
import pwd
from pathlib import Path
from typing import Final

from infra.errors import LocalProblem

SERVICE_USER: Final = "nobody"  # PostgreSQL refuses to run as root


def cache_folder() -> Path:
    """Returns AEGISPAY_CACHE, or else `aegispay` in the user's cache."""
    chosen = os.environ.get("AEGISPAY_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegispay"


def default_data_folder() -> Path:
    """Returns AEGISPAY_DATA, or else /var/lib/aegispay for root and the user's state folder for others."""
    chosen = os.environ.get("AEGISPAY_DATA")
    if chosen:
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/aegispay")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "aegispay"


def service_user() -> pwd.struct_passwd | None:
    """Returns the user that PostgreSQL runs as when we are root; None: it runs as whoever we are."""
    return pwd.getpwnam(SERVICE_USER) if os.geteuid() == 0 else None


def closed_folder(path: Path, user: pwd.struct_passwd) -> Path | None:
    """Returns the outermost folder on the way to `path` that `user` may not pass; None: all are open."""
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            return None
        status = folder.stat()
        if status.st_uid == user.pw_uid:
            bit = 0o100
        elif status.st_gid == user.pw_gid:
            bit = 0o010
        else:
            bit = 0o001
        if not status.st_mode & bit:
            return folder
    return None


def require_reachable(path: Path, user: pwd.struct_passwd | None) -> None:
    """Raises `LocalProblem`, which names the closed folder, where `user` may not reach `path`."""
    closed = user and closed_folder(path, user)
    if user and closed:
        raise LocalProblem(
            f"PostgreSQL does not run as root; it runs as '{user.pw_name}', who may not pass {closed}",
            f"Choose another folder with --data or AEGISPAY_DATA (the default is /var/lib/aegispay), "
            f"run this as a plain user, or: chmod o+x '{closed}'",
        )
