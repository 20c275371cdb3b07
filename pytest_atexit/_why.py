"""How a program really ended, and why handlers were skipped, from what was observed."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_atexit import _explain
from pytest_atexit._ending import SIGNALS, Ending
from pytest_atexit._events import LastCall
from pytest_atexit._status import ExitStatus, signal_name

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler

UNKNOWN = "unknown"
FATAL = re.compile(r"^Fatal Python error: (.*)$", re.MULTILINE)
TRACEBACK = re.compile(r"^(Traceback \(most recent call last\):$|(Syntax|Indentation|Tab)Error: )", re.MULTILINE)
UNCAUGHT = 1
CRASHES = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL")
INTERRUPTED = 128 + signal.SIGINT  # as PID 1, Python can't end itself by the signal


class HasState(Protocol):
    """A registration or a call, be it as replayed or as a Handler."""

    @property
    def state(self) -> str:
        """What became of it, as Handler.state."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a process's end.

    Attributes:
        status: what the operating system reported, None where only the process's parent knows.
        handlers: its registrations.
        called: its calls that belong to the interpreter's exit, not to `_run_exitfuncs` earlier.
        unfinished: what was called and never returned, of every kind, the innermost call last.
        too_late: all that were not called had been registered after the first one was called.
        uncaught: whether an exception had ended the program when the last of them was called; None without any.
        last_call: the call of `os._exit` or `os.exec*` by which the program was left.
        worker: it is a forked worker of multiprocessing, which has ended it; why its handlers didn't run then.
        stderr: its text.
        became: it was replaced by another recorded program.
        still_running: it has not ended.
        caught: signals sent by the test for which a signal handler was installed at that moment.
        grace: the grace in seconds, if it was killed after that, and the signal sent before.
        is_foreign: the status is that of another process: of a shell script, say, that started this one.
        overran: the timeout in seconds, if it was killed after that.
        hung: what it hung in then, in words.
        killed: when or why the test had it killed, in words: by no signal of its own, but with all of the program.
        is_pid1: it was the first process of a PID namespace.
        left_open: what was skipped or cut off is of sub-interpreters that were left open, in an old version of Python.
    """

    status: ExitStatus | None = None
    handlers: Sequence[HasState] = ()
    called: Sequence[HasState] = ()
    unfinished: Sequence[Handler] = ()
    too_late: bool = False
    uncaught: bool | None = None
    last_call: LastCall | None = None
    worker: str = ""
    stderr: str = ""
    became: bool = False
    still_running: bool = False
    caught: frozenset[int] = frozenset()
    grace: tuple[float, int] | None = None
    overran: float | None = None
    hung: str = ""
    killed: str = ""
    is_foreign: bool = False
    is_pid1: bool = False
    left_open: bool = False


def ending_of(evidence: Evidence) -> Ending | None:
    """Returns what really happened, or None where status and record don't tell."""
    if evidence.is_foreign:
        return None
    if evidence.status and evidence.status.signal is not None:
        return _signal_ending(evidence, evidence.status.signal)
    if last := evidence.last_call:
        return Ending.OS_EXIT if last.function == "_exit" else Ending.EXEC
    if evidence.became:
        return Ending.EXEC
    if evidence.status is None or _is_cut_off(evidence) or (not evidence.called and _skipped(evidence)):
        return None
    if evidence.is_pid1 and evidence.status.code == INTERRUPTED and evidence.uncaught:
        return Ending.SIGINT
    if evidence.status.code == UNCAUGHT:
        uncaught = TRACEBACK.search(evidence.stderr) if evidence.uncaught is None else evidence.uncaught
        return Ending.EXCEPTION if uncaught else Ending.SYS_EXIT
    return Ending.SYS_EXIT if evidence.status.code else Ending.RETURN


def _signal_ending(evidence: Evidence, number: int) -> Ending | None:
    if number == signal.SIGABRT:
        return Ending.FATAL_ERROR if FATAL.search(evidence.stderr) else Ending.ABORT
    if number == signal.SIGSEGV:
        return Ending.SEGFAULT
    return next((ending for ending, known in SIGNALS.items() if known == number), None)


def reason_of(evidence: Evidence) -> str | None:
    """Returns one sentence on why handlers were skipped or cut off, or None where none were."""
    if evidence.grace:
        return _grace_reason(evidence, *evidence.grace)
    if evidence.overran is not None:
        return _because(f"it was killed, for it was still running after {evidence.overran:g} s", evidence.hung)
    if not any(handler.state in ("skipped", "unfinished") for handler in evidence.handlers):
        return None
    if evidence.is_foreign:
        return UNKNOWN
    if evidence.still_running:
        return "it is still running"
    return _ended_by(evidence)


def _because(sentence: str, cause: str) -> str:
    return f"{sentence}: {cause}" if cause else sentence


def _ended_by(evidence: Evidence) -> str:
    """What ended the process before all handlers had run."""
    last, number = evidence.last_call, evidence.status.signal if evidence.status else None
    during = f" while {_explain.was_running(evidence.unfinished[-1])}" if evidence.unfinished else ""
    at = _called_at(last, evidence.unfinished, during) if last else ""
    if last and last.function != "_exit":  # whatever ended the other program then
        return f"os.{last.function} replaced the program {at}: handlers don't survive that"
    if evidence.killed and number in (None, signal.SIGKILL) and not last:
        return f"it was killed {evidence.killed}{during and f',{during}'}"
    # After a KeyboardInterrupt Python runs all handlers and then sends itself SIGINT.
    if number is not None and not (number == signal.SIGINT and evidence.called and not during):
        return _signal_reason(evidence, number, during)
    if evidence.worker:
        return evidence.worker
    if last:
        code = repr(last.args[0]) if last.args else ""
        return f"os._exit({code}) was called {at}: it ends the process without handlers"
    if evidence.became:
        return f"another program replaced it{during}: handlers don't survive an exec"
    if evidence.status and _is_cut_off(evidence) and not any(handler.interpreter for handler in evidence.unfinished):
        return f"the process ended with {evidence.status}{during}, and not by os._exit: C code ended it"
    if evidence.called and evidence.too_late and not evidence.unfinished:
        return "they were registered while handlers were already running, which is too late"
    if evidence.left_open and evidence.status:
        return "their sub-interpreter was left open: up to Python 3.11 such a one may be cut off amid its handlers"
    return UNKNOWN


def _called_at(last: LastCall, unfinished: Sequence[Handler], during: str) -> str:
    """Who called `os._exit` or `os.exec*`: a line of the program, or the interpreter, for which it was the handler."""
    # One that `threading` doesn't know is called "thread 1234".
    thread = f" in thread {last.thread.removeprefix('thread ')}" if last.thread else ""
    if last.file:
        return f"at {last.file}:{last.line}{thread}{during}"
    if unfinished and not thread:
        return f"as {_explain.registered(unfinished[-1])}"
    return f"from C code{thread}{during}"


def _grace_reason(evidence: Evidence, seconds: float, first: int) -> str:
    name = signal_name(first)
    told = f"SIGKILL ended it, for it was still running {seconds:g} s after {name}"
    if evidence.is_pid1 and first not in evidence.caught:
        return f"{told}: PID 1 ignores {name} as long as no signal handler is installed"
    return _because(told, _explain.did_not_end(evidence.unfinished[-1]) if evidence.unfinished else "")


def _signal_reason(evidence: Evidence, number: int, during: str) -> str:
    name = signal_name(number)
    came = f"{name} came{during}"
    if number == signal.SIGKILL:
        return f"{came if during else 'SIGKILL ended it at once'}: no program can handle that"
    if number == signal.SIGABRT:
        if fatal := FATAL.search(evidence.stderr):
            return f"a fatal error of the interpreter{during}: {fatal[1]}"
        return f"{came if during else name}: os.abort() or a C library's abort"
    if name in CRASHES:
        return f"{came if during else name}: the process crashed"
    had = f"{came} and had its default action" if during else f"{name} had its default action"
    if number in evidence.caught:
        return f"{had} in the end, although a signal handler was installed when it was sent"
    return f"{had}: no signal handler was installed"


def _is_cut_off(evidence: Evidence) -> bool:
    """Whether the process ended in the middle of the interpreter's exit."""
    return any(call.state == "unfinished" for call in evidence.called)


def _skipped(evidence: Evidence) -> bool:
    return any(handler.state == "skipped" for handler in evidence.handlers)
