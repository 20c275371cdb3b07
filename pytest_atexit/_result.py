"""The result of a run: frozen facts, one record for each program in each process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pytest_atexit import _explain
from pytest_atexit._assertions import Assertions
from pytest_atexit._ending import Ending
from pytest_atexit._handler import HIDDEN, Handler
from pytest_atexit._status import ExitStatus
from pytest_atexit._story import story_of


def is_named(handler: Handler) -> bool:
    """Whether the lists of names have it."""
    return handler.kind == "atexit" and handler.origin not in HIDDEN


@dataclass(frozen=True)
class Command:
    """An external command that the program called, and that `fp=` answered for or let pass.

    Attributes:
        command: the command line.
        pid: the recorded process that called it, or a shell above which there is none.
        handler: the name of the handler that was running in that process then, in the same thread; None if none was.
        returncode: as that of `Popen`; None if it had not ended, or if a real one's isn't known.
    """

    command: tuple[str, ...]
    pid: int
    handler: str | None
    returncode: int | None


class HandlerLists(NamedTuple):
    """The handlers of one program in one process: registrations, calls, and names of those that were taken out."""

    handlers: list[Handler]
    timeline: list[Handler]
    unregistered: list[str]


class Told:
    """What a journal tells of handlers. They are made when somebody looks, for there may be thousands of them.

    Attributes:
        raised: whether any of them raised, which each run has to know.
    """

    def __init__(self, make: Callable[[], HandlerLists], *, raised: bool) -> None:
        self._make = make
        self.raised = raised

    @cached_property
    def lists(self) -> HandlerLists:
        """The handlers."""
        return self._make()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Told) and self.lists == other.lists

    __hash__ = None  # type: ignore[assignment]  # as that of any class that can be changed or holds lists


@dataclass(frozen=True, kw_only=True, repr=False)
class ProcessRecord(Assertions):
    """What one program in one process did. An exec begins another one, with the same `pid`.

    The lists of names leave out what the standard library and coverage registered, and all kinds of exit-time work but
    `atexit`; `handlers` and `timeline` don't.

    Attributes:
        told: what the properties are made of.
        pid: the process.
        parent_pid: its parent at its start.
        argv: the whole command line, the interpreter first; empty where it was forked.
        role: main, fork, subprocess, exec, multiprocessing or helper.
        unrecorded: how many handlers were registered before the agent was there.
        status: how its process ended, if the process that started it was recorded too and was told; else None.
        started: when it started, in seconds of the system's monotonic clock: processes can be compared by it.
        lost: something could not be written down, so lists may lack entries.
        ending: what really happened, as far as status and record tell, else None.
        reason: one sentence on why handlers were skipped or cut off, "unknown" where it would be a guess, None where
            none were.
        still_running: it had not ended when it was looked at, so what is skipped may still run.
    """

    told: Told
    pid: int
    parent_pid: int
    argv: list[str]
    role: str
    status: ExitStatus | None = None
    unrecorded: int = 0
    started: float = 0.0
    lost: bool = False
    ending: Ending | None = None
    reason: str | None = None
    still_running: bool = False

    def __str__(self) -> str:
        """The exit timeline, and what is known of the end."""
        return "\n".join(_explain.story(self))

    def story(self) -> str:
        """The exit as a text for snapshots: stable from run to run, without times, pids, paths and line numbers."""
        return story_of(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of process {self.pid} ({self.role}): ran {self.ran}, skipped {self.skipped}>"

    @property
    def handlers(self) -> list[Handler]:
        """Every registration, in order."""
        return self.told.lists.handlers

    @property
    def timeline(self) -> list[Handler]:
        """A Handler for each call, in call order."""
        return self.told.lists.timeline

    @property
    def unregistered(self) -> list[str]:
        """Names taken out by `unregister` or `_clear`, once per entry, in the order of removal."""
        return self.told.lists.unregistered

    @property
    def registered(self) -> list[str]:
        """Names, in registration order."""
        return [handler.name for handler in self.handlers if is_named(handler)]

    @property
    def ran(self) -> list[str]:
        """Names of handlers that were called, in call order, failed and unfinished ones included."""
        return self._called("ran", "failed", "unfinished")

    @property
    def failed(self) -> list[str]:
        """Names of handlers that raised, in call order."""
        return self._called("failed")

    @property
    def unfinished(self) -> list[str]:
        """Names of handlers that were called and never returned, in call order."""
        return self._called("unfinished")

    @property
    def skipped(self) -> list[str]:
        """Names of handlers that were registered at the end and never called, in registration order."""
        return [handler.name for handler in self.handlers if handler.state == "skipped" and is_named(handler)]

    @property
    def duplicates(self) -> dict[str, int]:
        """How often each handler ran that ran more than once, by name."""
        return {name: count for name, count in Counter(self.ran).items() if count > 1}

    def _called(self, *states: str) -> list[str]:
        return [handler.name for handler in self.timeline if handler.state in states and is_named(handler)]


@dataclass(frozen=True, kw_only=True, repr=False)
class ExitResult(ProcessRecord):
    """How a program ended: the record of its main process, and of those below it.

    Attributes:
        status: exit code or signal; never None.
        stdout_bytes: all that was written to it.
        stderr_bytes: likewise.
        duration: seconds from the start to the end of the main process.
        exit_duration: seconds from its first exit-time work to its end, None if there was none.
        children: records of the other programs and processes, in start order.
        left_running: pids of descendants that still lived.
        commands: external commands that were answered by `fp=`.
        grace_used: seconds from the signal of `stop` to the end, else None.
        killed_after_grace: `stop` had to kill it.
        path: the run's folder.
        command: a shell line that replays the program.
    """

    status: ExitStatus
    stdout_bytes: bytes
    stderr_bytes: bytes
    duration: float
    exit_duration: float | None
    children: list[ProcessRecord]
    left_running: list[int]
    path: Path
    command: str
    grace_used: float | None = None
    killed_after_grace: bool = False
    commands: list[Command] = field(default_factory=list)

    @property
    def returncode(self) -> int:
        """As `Popen.returncode`: the exit code, or minus the signal's number."""
        return self.status.returncode

    @property
    def stdout(self) -> str:
        """What the program wrote to stdout; undecodable bytes are backslash-escaped."""
        return self.stdout_bytes.decode("utf-8", "backslashreplace")

    @property
    def stderr(self) -> str:
        """What the program wrote to stderr; undecodable bytes are backslash-escaped."""
        return self.stderr_bytes.decode("utf-8", "backslashreplace")
