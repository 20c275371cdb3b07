"""Says what a program that outlived its timeout was waiting for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_atexit import _explain
from pytest_atexit._launch._process import Process, contents
from pytest_atexit._launch._stacks import Thread
from pytest_atexit._launch._waits import EXIT_WORK, SHUTDOWN, StackFrame, Wait, library_call, wait_of
from pytest_atexit._origin import shown_path

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler
    from pytest_atexit._records import Recorded

SHOWN = 100  # characters of a command line
WORKER = "multiprocessing/process.py:_bootstrap"  # calls what a forked worker does, on top of its parent's stack
MAIN_CODE = ("<module>", "_run_module_as_main", "entry_point", "run")  # outermost functions: PyPy's, and a worker's


@dataclass
class Hung:
    """A recorded process that has not ended.

    Attributes:
        recorded: its record.
        folders: paths below these are shown relative to them.
        pid: its own, which is not that of its record if it lives in another PID namespace.
        children: names of the processes that it could be waiting for.
        threads: their stacks, the main thread last; None if it was not or could not be asked.
    """

    recorded: Recorded
    folders: list[str]
    pid: int
    children: list[str] = field(default_factory=list)
    threads: list[Thread] | None = None

    @property
    def title(self) -> str:
        """Which process it is."""
        return f"process {self.recorded.record.pid} ({self.recorded.record.role})"

    @cached_property
    def unfinished(self) -> list[Handler]:
        """What was called and did not return, of every kind, the innermost call last."""
        return _explain.unfinished(self.recorded.record)

    @property
    def call(self) -> Handler | None:
        """The call to name: not the interpreter's own, where it is known what that waits for."""
        last = self.unfinished[-1] if self.unfinished else None
        is_own = last is not None and last.kind != "thread" and (last.kind == "atexit" or last.origin != "stdlib")
        return last if is_own or self.wait is None else None

    @cached_property
    def main(self) -> Thread | None:
        """Its main thread, if it has a stack."""
        return next((thread for thread in self.threads or [] if thread.is_main and thread.frames), None)

    @cached_property
    def frames(self) -> tuple[StackFrame, ...]:
        """Those of its main thread that are its own: a forked worker has its parent's below."""
        frames = self.main.frames if self.main else ()
        ends = [index for index, frame in enumerate(frames) if library_call(frame, self.recorded.stdlib) == WORKER]
        return frames[: ends[0]] if ends else frames

    @cached_property
    def wait(self) -> Wait | None:
        """What its main thread waits for, as far as the standard library tells."""
        return wait_of(self.frames, self.recorded.stdlib)

    @property
    def waits_for_children(self) -> bool:
        """Whether what hangs is rather one of its children."""
        return bool(self.wait and self.wait.by == "children" and self.children)

    def statement(self) -> str:
        """Returns what hangs, in one line."""
        if self.call:
            return _explain.did_not_end(self.call)
        if self.main is None:
            return "it did not end"
        subject = "the program" if self.recorded.record.role == "main" else "it"
        place = self._place(self.main, self.frames)
        if not self.main.is_whole and not self._is_over():
            return f"it did not end: its main thread was in {place}"
        if not self._is_over():
            return f"{subject} was still running: its main thread was in {place}"
        if self.wait and not any(map(self._is_own, self.frames)):
            return f"{subject} is over, but the interpreter waits for {self._waited_for(self.wait)}"
        return f"{subject} is over, but its main thread was in {place}"

    def details(self) -> list[str]:
        """Returns what is known beyond the statement: where the handler was, and what that waits for."""
        if self.main is None or ("the interpreter waits for" in (said := self.statement()) and not self.call):
            return []
        lines = []
        if "its main thread was in" not in said and any(map(self._is_own, self.frames)):
            lines.append(f"it was in {self._place(self.main, self.frames)}")
        return lines + ([f"it waits for {self._waited_for(self.wait)}"] if self.wait else [])

    def stacks(self) -> list[str]:
        """Returns the stacks of all threads, that of what hangs first."""
        if self.threads is None:
            return ["no stacks: its stderr is not the pipe that pytest-atexit reads"]
        is_main_last = not self.call and self._waits_for_threads(self.main)
        main = [thread for thread in self.threads if thread.is_main]
        ordered = [*self._others, *main] if is_main_last else [*main, *self._others]
        return [line for thread in ordered for line in thread.lines()]

    @property
    def _others(self) -> list[Thread]:
        """All threads but the main one, those that wait for other threads last."""
        return sorted((t for t in self.threads or [] if not t.is_main), key=self._waits_for_threads)

    def _waits_for_threads(self, thread: Thread | None) -> bool:
        wait = wait_of(thread.frames, self.recorded.stdlib) if thread else None
        return bool(wait and wait.by == "threads")

    def _is_over(self) -> bool:
        """Whether its main code has ended: a stack that doesn't begin in it is that of the interpreter's exit."""
        if any(library_call(frame, self.recorded.stdlib) in EXIT_WORK for frame in self.frames):
            return True
        is_whole = self.main is not None and self.main.is_whole
        return is_whole and bool(self.frames) and self.frames[-1][2] not in MAIN_CODE

    def _is_own(self, frame: StackFrame) -> bool:
        return library_call(frame, self.recorded.stdlib) is None

    def _waited_for(self, wait: Wait) -> str:
        known = {
            "threads": [f"{t.title} in {self._place(t, t.frames)}" for t in self._others if t.frames],
            "children": self.children,
        }
        names = known.get(wait.by, [])
        known_by_name = [f"thread {handler.name}" for handler in self.unfinished if handler.kind == "thread"]
        what = _explain.listed(known_by_name) if known_by_name and wait.calls == SHUTDOWN else wait.what
        one_of = "one or more of " if len(names) > 1 else ""
        return f"{what}: {one_of}{_explain.listed(names)}" if names else what

    def _place(self, thread: Thread, frames: tuple[StackFrame, ...]) -> str:
        """Where a thread is in the program's code, or else the function that it was started with."""
        own = [frame for frame in frames if self._is_own(frame)]
        started = [frame for frame in frames if not frame[0].endswith("threading.py")]
        file, line, name = (own or (frames if thread.is_main else started[-1:]) or thread.frames)[0]
        source = thread.source(file, line)
        folders = [*self.folders, os.path.dirname(self.recorded.stdlib)]
        return f"{name} ({shown_path(file, folders)}:{line}){f': {source}' if source else ''}"


def hung_processes(
    recorded: Iterable[Recorded],
    living: Iterable[Process],
    folders: list[str],
    inside: dict[int, int],
) -> list[Hung]:
    """Returns the recorded processes that live, in their order, the helpers of multiprocessing last.

    Args:
        recorded: all records.
        living: what lives of the program, recorded or not.
        folders: paths below these are shown relative to them.
        inside: the pids by which records know the processes of another PID namespace.
    """
    alive = {inside.get(process.pid, process.pid): process for process in living}
    last = {each.record.pid: each for each in recorded}  # of an exec's two records the last one counts
    roles = {pid: each.record.role for pid, each in last.items()}
    hung = [
        Hung(each, folders, alive[pid].pid, _children(alive[pid], alive, roles))
        for pid, each in last.items()
        if pid in alive
    ]
    return sorted(hung, key=lambda process: process.recorded.record.role == "helper")


def _children(parent: Process, alive: dict[int, Process], roles: dict[int, str]) -> list[str]:
    """Names of the living children of a process, with those that multiprocessing's fork server has started for it."""
    names = []
    for pid, child in alive.items():
        if child.parent == parent.pid and roles.get(pid) == "helper":
            names += _children(child, alive, roles)
        elif child.parent == parent.pid:
            names.append(f"process {pid} ({roles.get(pid) or _command(child.pid)})")
    return names


def _command(pid: int) -> str:
    words = contents(f"/proc/{pid}/cmdline").decode("utf-8", "backslashreplace").split("\0")[:-1]
    line = shlex.join(words)
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def explain_hang(processes: Sequence[Hung]) -> list[str]:
    """Returns lines that name what hangs in each process, then the stacks, that of what hangs first."""
    lines = []
    for process in processes:
        lines += [f"{process.title}: {process.statement()}", *(f"  {line}" for line in process.details())]
    for process in sorted(processes, key=lambda process: process.waits_for_children):
        lines += [f"stacks of {process.title}:"] if len(processes) > 1 else []
        lines += [f"  {line}" for line in process.stacks()]
    return lines
