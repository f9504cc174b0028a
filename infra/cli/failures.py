"""Reports why a command could not do its work: in words, or with --json as its one document.

Invariant: nothing here shows a password, which the address of a database may hold.
"""

import os
import re
import sys
from typing import Any, Final

from infra.cli.output import failure, write_json
from infra.errors import EXIT_MISCONFIGURED, LocalProblem, Misconfigured, Miswritten, reason

_KAFKA_AT: Final = re.compile(r"\('([^']+)', (\d+)")
_SETTING: Final = re.compile(r"(AEGISPAY_[A-Z_]+): ")
_BY_SETTINGS: Final = (
    "Run it from a checkout, or set AEGISPAY_KAFKA and AEGISPAY_DATABASE_URL if it is an operator's command"
)
_STACK: Final = "`aegispay status` shows whether the local stack runs"


def tell(what: str, where: str | None, remedy: str | None, exit_code: int, *, as_json: bool) -> int:
    """Prints the failure, with --json also as a document, and returns the exit code."""
    if as_json:
        write_json(failure(what, where, remedy, exit_code))
    sys.stderr.write(f"aegispay: {what}\n" + (f"{remedy}\n" if remedy else ""))
    return exit_code


def report(error: Exception, *, as_json: bool) -> int | None:
    """Reports a known error and returns its exit code. None: the error is a bug of ours, and nothing was
    printed."""
    if isinstance(error, ExceptionGroup):
        # One error is reported of tasks that ran side by side: --json prints one document.
        reported = (report(one, as_json=as_json) for one in error.exceptions)
        return next((code for code in reported if code is not None), None)
    if isinstance(error, Misconfigured):
        setting = _SETTING.match(str(error))
        return tell(str(error), setting and setting[1], None, EXIT_MISCONFIGURED, as_json=as_json)
    problem = error if isinstance(error, LocalProblem) else _of_a_library(error)
    if problem is None:
        return None
    return tell(problem.what, problem.where, problem.remedy, problem.exit_code, as_json=as_json)


def _of_a_library(error: Exception) -> LocalProblem | None:
    # Loaded only now: whatever raised one of these has loaded its library already.
    import psycopg
    from aiokafka.errors import KafkaError

    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("infra.tools"):
        return LocalProblem(
            "This is not in the image: it is a tool for development, or acts on a local stack", _BY_SETTINGS
        )
    if isinstance(error, psycopg.Error):
        return _of_postgres(error)
    if isinstance(error, KafkaError):
        return _of_kafka(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename} cannot be used: {error.strerror}"
        return LocalProblem(text, "Look at whether it exists, and whose it is", str(error.filename))
    return None


def _of_postgres(error: Any) -> LocalProblem | None:
    import psycopg
    from psycopg import errors

    from infra.postgres.connections import where

    at = where(error) or _named_database() or "the local stack"
    if isinstance(error, (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName)):
        return Miswritten(
            f"PostgreSQL at {at} has not this version's schema", "Run `aegispay migrate`, as its owner", at
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return Miswritten(
            f"PostgreSQL at {at} does not let this role do it",
            "Name one that may in AEGISPAY_DATABASE_URL: docs/operations.md",
            at,
        )
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        # Its words quote the address, password and all.
        return Miswritten(
            "AEGISPAY_DATABASE_URL is no address that PostgreSQL's client can read",
            "Write e.g. postgresql://user:password@db.example.com:5432/aegispay",
            "AEGISPAY_DATABASE_URL",
        )
    if not isinstance(error, psycopg.OperationalError):
        return None
    text = reason(error)
    if re.search("authentication failed|does not exist|pg_hba.conf|no password supplied", text):
        return Miswritten(
            f"PostgreSQL at {at} refuses to be used: {text}",
            "Check AEGISPAY_DATABASE_URL, and run `aegispay migrate` where it is new",
            at,
        )
    return LocalProblem(
        f"PostgreSQL at {at} does not respond: {text}", f"Check AEGISPAY_DATABASE_URL; {_STACK}", at
    )


def _of_kafka(error: Any) -> LocalProblem:
    from aiokafka.errors import UnknownTopicOrPartitionError

    at = ", ".join(":".join(found) for found in _KAFKA_AT.findall(str(error)))
    at = at or os.environ.get("AEGISPAY_KAFKA") or "the local stack"
    if isinstance(error, UnknownTopicOrPartitionError):
        return Miswritten(f"Kafka at {at} has not the topics of AegisPay", "Run `aegispay topics`", at)
    return LocalProblem(
        f"Kafka at {at} does not respond: {type(error).__name__}", f"Check AEGISPAY_KAFKA; {_STACK}", at
    )


def _named_database() -> str | None:
    from infra.postgres.connections import address

    named = os.environ.get("AEGISPAY_DATABASE_URL")
    return address(named) if named else None
