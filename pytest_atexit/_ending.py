"""The ways to end a program, and for each the line of Python that does it in the child."""

from __future__ import annotations

import signal
from enum import Enum

from pytest_atexit._errors import LaunchError


class Ending(str, Enum):
    """A way in which a program ends. Its value is its name as text: `Ending("sigterm")` finds SIGTERM."""

    RETURN = "return"
    SYS_EXIT = "sys.exit"
    EXCEPTION = "exception"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGHUP = "SIGHUP"
    SIGQUIT = "SIGQUIT"
    SIGUSR1 = "SIGUSR1"
    SIGKILL = "SIGKILL"
    OS_EXIT = "os._exit"
    ABORT = "abort"
    SEGFAULT = "segfault"
    FATAL_ERROR = "fatal error"
    EXEC = "exec"

    @classmethod
    def _missing_(cls, value: object) -> Ending | None:
        if not isinstance(value, str):
            return None
        wanted = _folded(value)
        return next((ending for ending in cls if wanted in (_folded(ending.value), _folded(ending.name))), None)

    def __str__(self) -> str:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


def _folded(text: str) -> str:
    return text.lower().replace("_", "").replace(".", "").replace(" ", "").replace("-", "")


def as_ending(value: object) -> Ending:
    """Returns the ending that an Ending, its name in any case or a signal stands for.

    Raises:
        LaunchError: there is no such ending.
    """
    if isinstance(value, signal.Signals):
        value = value.name
    elif isinstance(value, int):
        value = next((known.name for known in signal.Signals if known == value), value)
    try:
        return Ending(value)
    except ValueError:
        known = ", ".join(repr(str(ending)) for ending in Ending)
        msg = f"there is no ending {value!r}; the endings are {known}"
        raise LaunchError(msg) from None


SIGNALS = {
    ending: signal.Signals[ending.value]
    for ending in Ending
    if ending.value.startswith("SIG") and ending.value in signal.Signals.__members__
}

NOTHING = ("-I", "-S", "-c", "")  # flags with which a Python does nothing at all

_SOURCE = {
    Ending.SYS_EXIT: "__import__('sys').exit(3)",
    Ending.EXCEPTION: "raise RuntimeError(\"ending='exception'\")",
    Ending.OS_EXIT: "__import__('os')._exit(3)",
    Ending.ABORT: "__import__('os').abort()",
    Ending.SEGFAULT: "__import__('ctypes').string_at(8)",
    Ending.FATAL_ERROR: "__import__('ctypes').pythonapi.Py_FatalError(b\"ending='fatal error'\")",
    Ending.EXEC: f"import os, sys; os.execv(sys.executable, [sys.executable, *{NOTHING!r}])",
}


def source_of(ending: Ending) -> str:
    """Returns the line of Python by which a program ends itself this way; empty for RETURN.

    Raises:
        LaunchError: this platform has no such signal.
    """
    if ending is Ending.RETURN:
        return ""
    if ending in _SOURCE:
        return _SOURCE[ending]
    if ending not in SIGNALS:
        msg = f"this platform has no {ending}"
        raise LaunchError(msg)
    return f"__import__('os').kill(__import__('os').getpid(), {SIGNALS[ending].value})"
