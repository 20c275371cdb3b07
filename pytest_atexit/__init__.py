"""Test how Python programs exit: which exit handlers ran, in which order, and why others did not."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_atexit._capexit import CapExit
    from pytest_atexit._ending import Ending
    from pytest_atexit._errors import (
        CommandNotRegistered,
        HandlerFailed,
        HandlerSkipped,
        LaunchError,
        NotRecorded,
        ProgramEnded,
        ProgramTimeout,
        PytestAtexitError,
        UnknownHandler,
        WaitTimeout,
    )
    from pytest_atexit._handler import Handler
    from pytest_atexit._launch._running import RunningProgram
    from pytest_atexit._matrix import ExitMatrix
    from pytest_atexit._registry._atexit_registry import AtexitRegistry
    from pytest_atexit._result import Command, ExitResult, ProcessRecord
    from pytest_atexit._status import ExitStatus

__all__ = [
    "AtexitRegistry",
    "CapExit",
    "Command",
    "CommandNotRegistered",
    "Ending",
    "ExitMatrix",
    "ExitResult",
    "ExitStatus",
    "Handler",
    "HandlerFailed",
    "HandlerSkipped",
    "LaunchError",
    "NotRecorded",
    "ProcessRecord",
    "ProgramEnded",
    "ProgramTimeout",
    "PytestAtexitError",
    "RunningProgram",
    "UnknownHandler",
    "WaitTimeout",
]

_HOMES = (
    "_errors",
    "_ending",
    "_status",
    "_handler",
    "_result",
    "_matrix",
    "_launch._running",
    "_capexit",
    "_registry._atexit_registry",
)


def __getattr__(name: str) -> object:
    """Import a public name when it is asked for: pytest loads this package in every session, used or not."""
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
