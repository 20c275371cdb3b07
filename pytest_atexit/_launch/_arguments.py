"""Looks at what a test passes, before anything is done with it."""

from __future__ import annotations

import math
import signal

LAST_PORT = 65535
# Signals that `stop` takes as bare numbers, beside real-time ones (systemd's SIGRTMIN + 3 is a bare number); others by
# name or as signal.SIGX.
BY_NUMBER = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM")


def check_timeout(timeout: object) -> None:
    """Raise a ValueError if it is neither None nor a number of seconds."""
    __tracebackhide__ = True
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
        raise ValueError(f"timeout is a number of seconds, not {timeout!r}")


def check_port(port: object) -> None:
    """Raise a ValueError if it is no number of a TCP port; it may be text."""
    __tracebackhide__ = True
    number = int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdecimal()) else 0
    if not 0 < number <= LAST_PORT:
        raise ValueError(f"a port is a number from 1 to {LAST_PORT}, not {port!r}")


def number_of(signum: int | str) -> int:
    """Returns the number of a signal, which may be given by name.

    Raises:
        ValueError: there is no signal of that name.
    """
    __tracebackhide__ = True
    if isinstance(signum, str):
        if signum.upper() not in signal.Signals.__members__:
            raise ValueError(f"there is no signal {signum!r}")
        return signal.Signals[signum.upper()]
    return signum


def ending_signal(given: int | str) -> int:
    """Returns the number of a signal that is to end a program.

    Raises:
        ValueError: there is no such signal, or a bare number of one that ends no programs: a grace was meant.
    """
    __tracebackhide__ = True
    if type(given) in (int, float):
        number = float(given)
        usual = {int(signal.Signals[name]) for name in BY_NUMBER if name in signal.Signals.__members__}
        if number not in usual and not getattr(signal, "SIGRTMIN", math.inf) <= number <= signal.NSIG:
            raise ValueError(f"{given} is no signal that ends programs: for a grace of {given} s write grace={given}")
    return number_of(given)


def check_allowing(allow_failures: object) -> None:
    """Raise a TypeError if it is no truth value: names would allow all failures, not those of some handlers."""
    __tracebackhide__ = True
    if not isinstance(allow_failures, bool):
        raise TypeError(
            f"allow_failures is True or False, for all handlers, not {allow_failures!r}: to accept the failure of some "
            "only, pass True and look at result.failed"
        )
