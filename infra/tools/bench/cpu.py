"""Measures the CPU time of the stack's processes with all their children, in seconds since each started."""

from collections.abc import Mapping

import psutil


def used_s(processes: Mapping[str, int]) -> dict[str, float]:
    """Returns the seconds by name, of the processes that live. One that was restarted in between counts
    from 0 again."""
    found = {}
    for name, pid in processes.items():
        try:
            found[name] = _with_children_s(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return found


def _with_children_s(process: psutil.Process) -> float:
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # The children of a child that have ended, PostgreSQL's backends for one, count with it.
        total += times.user + times.system + times.children_user + times.children_system
    return total


def per_payment_ms(
    before: Mapping[str, float], after: Mapping[str, float], payments: int
) -> dict[str, float]:
    """Returns milliseconds of CPU per payment, by process and for `all` of them."""
    spent = {
        name: round((after[name] - before.get(name, 0.0)) * 1000 / max(payments, 1), 3) for name in after
    }
    return spent | {"all": round(sum(spent.values()), 3)}
