"""How a program really ended, and why handlers were skipped, from what was observed."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_atexit._ending import SIGNALS, Ending
from pytest_atexit._events import LastCall
from pytest_atexit._status import ExitStatus, signal_name

UNKNOWN = "unknown"
FATAL = re.compile(r"^Fatal Python error: (.*)$", re.MULTILINE)
TRACEBACK = re.compile(r"^(Traceback \(most recent call last\):$|(Syntax|Indentation|Tab)Error: )", re.MULTILINE)
UNCAUGHT = 1
INTERRUPTED = 128 + signal.SIGINT  # as PID 1, Python can't end itself by the signal


class HasState(Protocol):
    """A registration or a call, be it as replayed or as a Handler."""

    @property
    def state(self) -> str:
        """What became of it, as Handler.state."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a process's end.

    Attributes:
        status: what the operating system reported.
        handlers: its registrations.
        called: its calls that belong to the interpreter's exit, not to `_run_exitfuncs` earlier.
        uncaught: whether an exception had ended the program when the last of them was called; None without any.
        last_call: the call of `os._exit` or `os.exec*` by which the program was left.
        stderr: its text.
        became: it was replaced by another recorded program.
        caught: signals sent by the test for which a signal handler was installed at that moment.
        grace: the grace in seconds, if it was killed after that, and the signal sent before.
        is_foreign: the status is that of another process: of a shell script, say, that started this one.
        overran: the timeout in seconds, if it was killed after that.
        is_pid1: it was the first process of a PID namespace.
    """

    status: ExitStatus
    handlers: Sequence[HasState]
    called: Sequence[HasState]
    uncaught: bool | None
    last_call: LastCall | None
    stderr: str
    became: bool
    caught: frozenset[int]
    grace: tuple[float, int] | None
    overran: float | None
    is_foreign: bool
    is_pid1: bool = False


def ending_of(evidence: Evidence) -> Ending | None:
    """Returns what really happened, or None where status and record don't tell."""
    number, code = evidence.status.signal, evidence.status.code
    if evidence.is_foreign:
        return None
    if number is not None:
        if number == signal.SIGABRT:
            return Ending.FATAL_ERROR if FATAL.search(evidence.stderr) else Ending.ABORT
        if number == signal.SIGSEGV:
            return Ending.SEGFAULT
        return next((ending for ending, known in SIGNALS.items() if known == number), None)
    if last := evidence.last_call:
        return Ending.OS_EXIT if last.function == "_exit" else Ending.EXEC
    if evidence.became:
        return Ending.EXEC
    if _skipped(evidence) and not evidence.called:
        return None
    if evidence.is_pid1 and code == INTERRUPTED and evidence.uncaught:
        return Ending.SIGINT
    if code == UNCAUGHT:
        uncaught = TRACEBACK.search(evidence.stderr) if evidence.uncaught is None else evidence.uncaught
        return Ending.EXCEPTION if uncaught else Ending.SYS_EXIT
    return Ending.SYS_EXIT if code else Ending.RETURN


def reason_of(evidence: Evidence) -> str | None:
    """Returns one sentence on why handlers were skipped, or None where none were."""
    if evidence.grace:
        return _grace_reason(evidence, *evidence.grace)
    if evidence.overran is not None:
        return f"it was killed, for it was still running after {evidence.overran:g} s"
    if not any(handler.state in ("skipped", "unfinished") for handler in evidence.handlers):
        return None
    if evidence.is_foreign:
        return UNKNOWN
    last, number = evidence.last_call, evidence.status.signal
    if last and last.function != "_exit":  # whatever ended the other program then
        return f"os.{last.function} replaced the program at {last.file}:{last.line}: handlers don't survive that"
    if number is not None and not (number == signal.SIGINT and evidence.called):
        return _signal_reason(evidence, number)
    if last:
        code = last.args[0] if last.args else ""
        return f"os._exit({code!r}) was called at {last.file}:{last.line}: it ends the process without handlers"
    if evidence.became:
        return "another program replaced it: handlers don't survive an exec"
    if evidence.called:
        return "they were registered while handlers were already running, which is too late"
    return UNKNOWN


def _grace_reason(evidence: Evidence, seconds: float, first: int) -> str:
    name = signal_name(first)
    told = f"SIGKILL ended it, for it was still running {seconds:g} s after {name}"
    if evidence.is_pid1 and first not in evidence.caught:
        return f"{told}: PID 1 ignores {name} as long as no signal handler is installed"
    return told


def _signal_reason(evidence: Evidence, number: int) -> str:
    name = signal_name(number)
    if number == signal.SIGKILL:
        return "SIGKILL ended it at once: no program can handle that"
    if number == signal.SIGABRT:
        fatal = FATAL.search(evidence.stderr)
        return (
            f"a fatal error of the interpreter: {fatal[1]}" if fatal else "SIGABRT: os.abort() or a C library's abort"
        )
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL):
        return f"{name}: the process crashed"
    if number in evidence.caught:
        return f"{name} had its default action in the end, although a signal handler was installed when it was sent"
    return f"{name} had its default action: no signal handler was installed"


def _skipped(evidence: Evidence) -> bool:
    return any(handler.state == "skipped" for handler in evidence.handlers)
