import socket

import pytest

from infra.errors import LocalProblem, Miswritten
from infra.tools.local import ports


def test_a_port_that_is_requested_and_taken_is_refused_with_its_variable():
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


def test_a_remembered_port_outside_a_range_that_is_set_gives_way_to_one_of_the_range(monkeypatch):
    (port,) = ports.free(1)
    monkeypatch.setenv("AEGISPAY_PORTS", "32000-32009")

    assert ports.choose({"kafka": 0}, {"kafka": port})["kafka"] in range(32_000, 32_010)


def test_a_remembered_port_of_another_range_is_kept_while_none_is_set(monkeypatch):
    monkeypatch.setenv("AEGISPAY_PORTS", "32000-32009")
    (port,) = ports.free(1)
    monkeypatch.delenv("AEGISPAY_PORTS")

    assert ports.choose({"kafka": 0}, {"kafka": port}) == {"kafka": port}


def test_no_port_is_given_twice():
    (port,) = ports.free(1)

    chosen = ports.choose({"api": port, "kafka": 0, "postgres": 0}, {"kafka": port, "postgres": port})

    assert len(set(chosen.values())) == 3


def test_free_ports_are_of_the_range_that_is_requested(monkeypatch):
    monkeypatch.setenv("AEGISPAY_PORTS", "31000-31009")

    assert set(ports.free(3)) <= set(range(31_000, 31_010))


def test_a_range_with_too_few_free_ports_is_named(monkeypatch):
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("AEGISPAY_PORTS", f"{port}-{port}")

        with pytest.raises(LocalProblem, match=f"between {port} and {port}"):
            ports.free(1)


@pytest.mark.parametrize("written", ["8000", "9-8", "0-5", "65000-70000", "a-b"])
def test_what_is_no_range_of_ports_is_said(monkeypatch, written):
    monkeypatch.setenv("AEGISPAY_PORTS", written)

    with pytest.raises(Miswritten, match=f"AEGISPAY_PORTS is '{written}'"):
        ports.free(1)
