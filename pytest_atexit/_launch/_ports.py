"""Free ports that parallel test processes don't hand out twice."""

from __future__ import annotations

import itertools
import os
import socket

from pytest_atexit._errors import LaunchError

FIRST, LAST = 20000, 32000  # below the range from which Linux takes ports for outgoing connections


class Ports:
    """Ports that this process has handed out.

    Each is reserved by a socket in Linux' abstract namespace, so that other processes on this machine, such as those of
    pytest-xdist, pass it over; a process that dies leaves nothing reserved.
    """

    def __init__(self) -> None:
        self._reservations: list[socket.socket] = []
        self._candidates = itertools.chain(range(self._start(), LAST), range(FIRST, self._start()))

    def take(self) -> int:
        """Returns a port of 127.0.0.1 on which nobody listens.

        Raises:
            LaunchError: there is none left.
        """
        for port in self._candidates:
            reservation = socket.socket(socket.AF_UNIX)
            try:
                reservation.bind(f"\0pytest-atexit-port-{port}")
            except OSError:
                reservation.close()
                continue
            self._reservations.append(reservation)
            if _is_free(port):
                return port
        msg = f"no port from {FIRST} to {LAST} is free"
        raise LaunchError(msg)

    def close(self) -> None:
        """Give all of them back."""
        for reservation in self._reservations:
            reservation.close()
        self._reservations.clear()

    @staticmethod
    def _start() -> int:
        return FIRST + os.getpid() * 37 % (LAST - FIRST)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
