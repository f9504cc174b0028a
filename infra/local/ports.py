"""Free ports on the loopback address."""

import random
import socket
from collections.abc import Mapping
from typing import Final

from infra.local.problem import LocalProblem

HOST: Final = "127.0.0.1"
# Below what Linux hands to outgoing connections, which would take them between the look and the use.
_RANGE: Final = range(20_000, 32_000)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(name: str, port: int) -> None:
    if not is_free(port):
        variable = f"AEGISPAY_{name.upper()}_PORT"
        raise LocalProblem(
            f"Port {port} ({variable}) is taken by another program",
            f"Find it with: ss -ltnp 'sport = :{port}', or choose another port with {variable}",
        )


def choose(wanted: Mapping[str, int], remembered: Mapping[str, int]) -> dict[str, int]:
    """For each name the port that is wanted; where that is 0, the remembered one if it is still free, or a free one."""
    for name, port in wanted.items():
        if port:
            require_free(name, port)
    chosen = {name: port for name, port in wanted.items() if port}
    for name in wanted.keys() - chosen.keys():
        port = remembered.get(name, 0)
        if port and port not in chosen.values() and is_free(port):
            chosen[name] = port
    open_names = sorted(wanted.keys() - chosen.keys())
    new = (port for port in free(len(open_names) + len(chosen)) if port not in chosen.values())
    return chosen | dict(zip(open_names, new, strict=False))


def free(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_RANGE, k=len(_RANGE)):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise LocalProblem("No free port between 20000 and 32000", "Stop what holds them: ss -ltnp")
