"""Free ports."""

import socket

from pytest_atexit._launch._ports import Ports


def test_a_port_is_handed_out_once_until_it_is_given_back():
    """Two users on one machine, as two workers of pytest-xdist are, never get the same port."""
    first, second = Ports(), Ports()
    try:
        taken = [ports.take() for _ in range(20) for ports in (first, second)]
        assert len(set(taken)) == len(taken)
    finally:
        first.close()
        second.close()


def test_a_port_can_be_listened_on():
    """The reservation does not occupy the port itself."""
    ports = Ports()
    try:
        with socket.create_server(("127.0.0.1", ports.take())) as server:
            assert server.getsockname()[1]
    finally:
        ports.close()


def test_a_port_that_somebody_listens_on_is_passed_over():
    """What is in use is not free, whoever uses it."""
    probe = Ports()
    expected = probe.take()
    probe.close()
    ports = Ports()
    with socket.create_server(("127.0.0.1", expected)):
        try:
            assert ports.take() != expected
        finally:
            ports.close()
