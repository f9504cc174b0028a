import socket

import pytest

from infra.local import ports
from infra.local.problem import LocalProblem


def test_a_port_that_is_asked_for_and_taken_is_refused_with_its_variable():
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(LocalProblem, match=rf"Port {port} \(AEGISPAY_KAFKA_PORT\) is taken"):
            ports.choose({"kafka": port}, {})


def test_a_remembered_port_is_taken_again():
    (port,) = ports.free(1)

    assert ports.choose({"kafka": 0}, {"kafka": port}) == {"kafka": port}


def test_a_remembered_port_that_is_taken_now_gives_way():
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]

        assert ports.choose({"kafka": 0}, {"kafka": port})["kafka"] != port


def test_no_port_is_given_twice():
    (port,) = ports.free(1)

    chosen = ports.choose({"api": port, "kafka": 0, "postgres": 0}, {"kafka": port, "postgres": port})

    assert len(set(chosen.values())) == 3
