"""Looks at what a test passes, before anything is done with it."""

from __future__ import annotations

import math
import re
import signal
from http import HTTPStatus
from urllib.parse import urlsplit

from pytest_atexit._explain import did_you_mean

LAST_PORT = 65535
LAST_STATUS = 599  # of HTTP
# Signals that `stop` takes as bare numbers, beside real-time ones (systemd's SIGRTMIN + 3 is a bare number); others by
# name or as signal.SIGX.
BY_NUMBER = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM")


def check_timeout(timeout: object) -> None:
    """Raise a ValueError if it is neither None nor a number of seconds."""
    __tracebackhide__ = True
    if timeout is not None:
        check_seconds("timeout", timeout)


def check_seconds(name: str, value: object) -> None:
    """Raise a ValueError if the argument of that name is no number of seconds."""
    __tracebackhide__ = True
    if not (isinstance(value, (int, float)) and value >= 0):
        raise ValueError(f"{name} is a number of seconds, not {value!r}")


def pattern_of(regex: object) -> re.Pattern[str]:
    """Returns a regular expression for text.

    Raises:
        TypeError: it is none for text.
        ValueError: it is no regular expression.
    """
    __tracebackhide__ = True
    text = regex.pattern if isinstance(regex, re.Pattern) else regex
    if not isinstance(text, str):
        what = "a bytes pattern" if isinstance(text, bytes) else f"{type(text).__name__} {text!r}"
        raise TypeError(f"output is text, in which a regular expression is looked for that is text, and not {what}")
    try:
        return re.compile(regex)  # type: ignore[call-overload,no-any-return]  # text or a pattern of it, see above
    except re.error as error:
        raise ValueError(
            f"{text!r} is no regular expression: {error}. For the text itself: re.escape({text!r})"
        ) from None


def check_predicate(predicate: object) -> None:
    """Raise a TypeError if it can't be called."""
    __tracebackhide__ = True
    if not callable(predicate):
        raise TypeError(
            f"what to wait for is a function, which is asked until it is true, not {predicate!r}: lambda: ..."
        )


def check_port(port: object) -> None:
    """Raise a ValueError if it is no number of a TCP port; it may be text."""
    __tracebackhide__ = True
    number = int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdecimal()) else 0
    if not 0 < number <= LAST_PORT:
        raise ValueError(f"a port is a number from 1 to {LAST_PORT}, not {port!r}")


def check_url(url: object, status: object) -> None:
    """Raise a ValueError if no GET of the address could ever give that status."""
    __tracebackhide__ = True
    address = urlsplit(url) if isinstance(url, str) else None
    if address is None or address.scheme not in ("http", "https") or not address.hostname:
        missing = f": did you mean 'http://{url}'?" if isinstance(url, str) and "//" not in url else ""
        raise ValueError(f"a url begins with http:// or https:// and has a host, not as {url!r}{missing}")
    if not (isinstance(status, int) and HTTPStatus.OK <= status <= LAST_STATUS):
        raise ValueError(f"a status is a number from {HTTPStatus.OK:d} to {LAST_STATUS}, not {status!r}")


def check_handlers(names: tuple[object, ...]) -> None:
    """Raise an error if these are no names of handlers: a ValueError if there are none, else a TypeError."""
    __tracebackhide__ = True
    if not names:
        msg = "name the handlers to wait for"
        raise ValueError(msg)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"names of handlers are text, not {type(name).__name__}: {name!r}")


def number_of(signum: object) -> int:
    """Returns the number of a signal, which may be given by name; 0 asks whether a process is there.

    Raises:
        ValueError: there is no such signal.
    """
    __tracebackhide__ = True
    if isinstance(signum, str):
        name = signum.upper()
        if name not in signal.Signals.__members__:
            prefixed = f"SIG{name}" in signal.Signals.__members__
            hint = f" Did you mean 'SIG{name}'?" if prefixed else did_you_mean(name, signal.Signals.__members__)
            raise ValueError(f"there is no signal {signum!r}.{hint}" if hint else f"there is no signal {signum!r}")
        return signal.Signals[name]
    if not (isinstance(signum, int) and 0 <= signum < signal.NSIG):
        raise ValueError(
            f"there is no signal {signum!r}: a number below {int(signal.NSIG)} or a name such as 'SIGTERM'"
        )
    return signum


def catchable(signum: int | str) -> int:
    """Returns the number of a signal that a program can handle.

    Raises:
        ValueError: there is no such signal, or no program can handle it.
    """
    __tracebackhide__ = True
    number = number_of(signum)
    if number in (0, signal.SIGKILL, signal.SIGSTOP):
        raise ValueError(f"no program can have a signal handler for {signum!r}")
    return number


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
