"""Free ports on the loopback address."""

import random
import socket
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


def free(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_RANGE, k=len(_RANGE)):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise LocalProblem("No free port between 20000 and 32000", "Stop what holds them: ss -ltnp")
