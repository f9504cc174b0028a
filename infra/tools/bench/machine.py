"""Describes the machine of a measurement, without which no figure means anything."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg


def processor() -> dict[str, str | int]:
    """Returns what a figure of one process depends on: the processors, the kernel, Python."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _model(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def describe(audit: psycopg.Connection) -> dict[str, str | int | float]:
    """Returns processors, memory, versions and the PostgreSQL settings that matter for speed."""

    def setting(name: str) -> str:
        row = audit.execute("SELECT current_setting(%s)", (name,)).fetchone()
        assert row is not None, "current_setting returns a row or raises"
        return str(row[0])

    return {
        **processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "postgresql": setting("server_version"),
        "fsync": setting("fsync"),
        "synchronous_commit": setting("synchronous_commit"),
        **{name: version(name) for name in ("aegispay", "aiokafka", "faust-streaming", "psycopg", "aiohttp")},
    }


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
