"""The errors of the public interface: one root, one class for each thing that can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_atexit._result import ExitResult


def printable(text: str) -> str:
    """Returns text that any stream of UTF-8 takes: a program may put half a character into a name or a message.

    Workers of pytest-xdist couldn't send it, either, and would crash.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class PytestAtexitError(Exception):
    """The root of all errors that pytest-atexit raises of its own accord."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class LaunchError(PytestAtexitError):
    """Nothing was started: no such file, interpreter or ending, or a function that can't travel."""


class RunError(PytestAtexitError):
    """A program was started and something is wrong with its run.

    Attributes:
        result: what is known of the run, or None if nothing could be recorded.
    """

    def __init__(self, message: str, result: ExitResult | None = None) -> None:
        super().__init__(message)
        self.result = result


class NotRecorded(RunError):
    """The program ran, but no agent was in it: nothing can be said about its handlers."""


class ProgramTimeout(RunError):
    """The program outlived its timeout and was killed with everything that it had started."""


class WaitTimeout(RunError):
    """What was waited for did not happen in time; the program still runs."""


class ProgramEnded(RunError):
    """The program ended before what was waited for happened."""


class UnknownHandler(PytestAtexitError, LookupError):
    """No handler ever had that name."""


class HandlerFailed(RunError, AssertionError):
    """A handler raised."""


class HandlerSkipped(RunError, AssertionError):
    """A handler that must run under this ending was skipped or did not finish."""


class CommandNotRegistered(HandlerFailed):
    """With `fp=`: a command was called that the test has not registered, so it did not run."""


for _error in (
    PytestAtexitError,
    *PytestAtexitError.__subclasses__(),
    *RunError.__subclasses__(),
    CommandNotRegistered,
):
    _error.__module__ = "pytest_atexit"  # as a test imports it, and as a traceback should name it
