"""Free ports on the loopback address."""

import os
import random
import re
import socket
from collections.abc import Mapping
from typing import Final

from infra.errors import LocalProblem, Miswritten

HOST: Final = "127.0.0.1"
# Below what Linux hands to outgoing connections, which would take them between the look and the use.
_RANGE: Final = "20000-31999"
_VARIABLE: Final = "AEGISPAY_PORTS"


def is_free(port: int) -> bool:
    """True if nothing listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(name: str, port: int) -> None:
    """Raises `LocalProblem`, which names the port's setting, where the port is taken."""
    if not is_free(port):
        variable = f"AEGISPAY_{name.upper()}_PORT"
        raise LocalProblem(
            f"Port {port} ({variable}) is taken by another program",
            f"Find it with: ss -ltnp 'sport = :{port}', or choose another port with {variable}",
        )


def choose(wanted: Mapping[str, int], remembered: Mapping[str, int]) -> dict[str, int]:
    """Returns a port for each name: the wanted one, which has to be free; where that is 0, the remembered
    one if it is still free and `AEGISPAY_PORTS`, where it is set, has it; or any free one. Raises
    `LocalProblem`."""
    for name, port in wanted.items():
        if port:
            require_free(name, port)
    chosen = {name: port for name, port in wanted.items() if port}
    # Without the setting a folder keeps the ports of its last start, of whatever range they are.
    allowed = span() if os.environ.get(_VARIABLE) else range(1, 0x10000)
    for name in wanted.keys() - chosen.keys():
        port = remembered.get(name, 0)
        if port in allowed and port not in chosen.values() and is_free(port):
            chosen[name] = port
    open_names = sorted(wanted.keys() - chosen.keys())
    new = (port for port in free(len(open_names) + len(chosen)) if port not in chosen.values())
    return chosen | dict(zip(open_names, new, strict=False))


def span() -> range:
    """Returns the ports of `AEGISPAY_PORTS`, as `FIRST-LAST`. Raises `Miswritten`."""
    written = os.environ.get(_VARIABLE) or _RANGE
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", written)
    ports = range(int(found[1]), int(found[2]) + 1) if found else range(0)
    if not ports or not 0 < ports[0] <= ports[-1] <= 0xFFFF:
        raise Miswritten(
            f"{_VARIABLE} is {written!r}, which is no range of ports",
            f"Write the first and the last, e.g. {_RANGE}",
        )
    return ports


def free(count: int) -> list[int]:
    """Returns so many free ports, chosen at random. Raises `LocalProblem` where there are not enough."""
    found: list[int] = []
    ports = span()
    for port in random.sample(ports, k=len(ports)):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise LocalProblem(
        f"Not enough free ports between {ports[0]} and {ports[-1]}",
        f"Stop what holds them (ss -ltnp), or choose others with {_VARIABLE}",
    )
