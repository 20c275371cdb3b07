"""One run of a program: the child, its journal and its output, from the start to the last of its descendants."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pytest_atexit._errors import LaunchError, PytestAtexitError
from pytest_atexit._journal import Journal
from pytest_atexit._launch._agent import is_whole
from pytest_atexit._launch._evidence import evidence_of, explained
from pytest_atexit._launch._fork import Forked
from pytest_atexit._launch._moments import Moments
from pytest_atexit._launch._namespace import pids_outside
from pytest_atexit._launch._output import Output
from pytest_atexit._launch._process import Process, Start, wait_for_end, written_by
from pytest_atexit._launch._replaced import Replacement, replacement
from pytest_atexit._launch._tree import Tree, nothing
from pytest_atexit._records import Recorded, lives_of, records_of, run_numbers
from pytest_atexit._result import ExitResult
from pytest_atexit._status import ExitStatus
from pytest_atexit._why import Evidence, ending_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_atexit._commands._server import Answers
    from pytest_atexit._events import ProcessBegan
    from pytest_atexit._launch._agent import Agent
    from pytest_atexit._launch._guardian import Guardian
    from pytest_atexit._launch._invocation import Invocation, Stdin
    from pytest_atexit._launch._launcher import Launcher
    from pytest_atexit._replay import Life
    from pytest_atexit._result import Command

NANOSECONDS = 1e-9
READING_PAUSE = 0.02  # seconds between two looks at what a running program has recorded
PAUSE = 0.01  # seconds between two looks for a child that was forked just now
KILL_PATIENCE = 5.0  # seconds in which killed processes must be gone
TEST_ENDED = "at the end of the test"


class Run:
    """A started program.

    Args:
        attended: who starts it waits for its end at once, so its output needs no thread, and no handler can be held.

    Attributes:
        command: a shell line that replays it.
        pid: of the process that was started; it leads a session and a process group.
        caught: signals that were sent while a signal handler for them was installed.
        grace: seconds and signal after which it was killed, if it was.
        grace_used: seconds from the signal of `stop` to the end.
        overran: the timeout in seconds, if it was killed for that.
        hung: what its main process hung in then, in words.
        was_asked: it lived, stopped, when it was asked for its stacks; that ends it, in place of SIGKILL.
        killed: when or why what had to be killed was, in words, by the pids that records have.
        folders: paths below these are shown relative to them.
        moments: at which tests hold it.
        answers: those for commands that it calls; None if these are real ones.
        refused: the commands that it called and that were not registered, as of the latest result.
    """

    def __init__(
        self,
        invocation: Invocation,
        launcher: Launcher,
        agent: Agent,
        guardian: Guardian,
        stdin: Stdin,
        *,
        attended: bool,
        answers: Answers | None = None,
    ) -> None:
        self.answers = answers
        if answers:
            executed = () if invocation.is_python else answers.command_line(invocation.argv, invocation.cwd)
            invocation = replace(invocation, answered=answers.environment, executed=executed)
        self.invocation = invocation
        self._agent = str(agent.folder)
        journal = "-".join(invocation.folder.parts[-2:])
        # From its own /proc, or as another user namespace's, PID 1 can't come at our memory.
        self._journal = Journal(journal, str(agent.folder) if invocation.as_pid1 else "")
        self.moments = Moments(self._journal)
        variable = self._journal.path if attended else self.moments.variable
        self.began, moment = time.monotonic_ns(), Start.moment()
        try:
            self._agent_entry = agent.entry(invocation)
            child = launcher.launch(invocation, variable, self._agent_entry, stdin)
            self.output = Output(child, in_thread=not attended)
        except (LaunchError, OSError, RuntimeError) as error:
            self._journal.close()
            if answers:
                answers.close()
            if isinstance(error, LaunchError):
                raise
            if isinstance(error, ProcessLookupError):  # it has ended and is reaped
                raise _taken("that was just started", invocation.shell_line) from None
            msg = f"no descriptor or thread was left to watch {invocation.argv[0]} with: {error}"
            raise LaunchError(msg) from error
        self.pid = child.pid
        self.folders = [str(invocation.folder), invocation.cwd]
        self._forked = child if isinstance(child, Forked) else None
        self.command = invocation.shell_line
        self._guardian = guardian
        guardian.watch(self.pid)
        marks = os.fsencode(agent.folder), b"PYTEST_ATEXIT_JOURNAL=%b\0" % variable.encode()
        since = Start(self.pid, moment)
        self._tree = Tree(since, marks, journal, lambda: set() if self.output.is_taken else {self.pid})
        self.caught: set[int] = set()
        self.grace: tuple[float, int] | None = None
        self.grace_used: float | None = None
        self.overran: float | None = None
        self.hung = ""
        self.was_asked = False
        self.killed: dict[int, str] = {}
        self.refused: list[Command] = []
        self._final: ExitResult | None = None
        self._released = False
        self._lives: list[Life] = []
        self._size = 0  # of the journal when it was replayed

    @property
    def ended(self) -> bool:
        """Whether the process that was started has ended."""
        return self.output.wait(0)

    @property
    def status(self) -> ExitStatus:
        """How the process that was started ended.

        Raises:
            PytestAtexitError: that can't be known.
        """
        if self.output.is_taken:
            orphaned = self._forked is not None and self._forked.is_orphan
            raise (_orphaned if orphaned else _taken)(str(self.pid), self.command)
        assert self.output.returncode is not None  # for it has ended
        return ExitStatus.from_returncode(-signal.SIGKILL if self.was_asked else self.output.returncode)

    @cached_property
    def agent_vanished(self) -> str:
        """What Python descendants would have loaded the agent from, if that was gone when this was asked first."""
        return "" if is_whole(self._agent_entry) else str(self._agent_entry)

    def signal(self, signum: int) -> None:
        """Send a signal to the process that was started; after its end nothing happens."""
        self.output.signal(signum)

    def signal_group(self, signum: int) -> None:
        """Send a signal to its whole process group, as a terminal does."""
        self.output.signal_group(signum)

    def await_end(self, seconds: float) -> bool:
        """Wait for the end; whether it has come. What is recorded is read meanwhile: less is left to do then.

        Raises:
            PytestAtexitError: this thread has forgotten to enter a moment, and a handler is held for it.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + seconds
        while not self.output.wait(min(READING_PAUSE, max(0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return False
            self.moments.check_forgotten()
            self._journal.read()
        return True

    def lives(self) -> list[Life]:
        """Returns what the journal tells by now."""
        if not self._released and (size := self._journal.read()) != self._size:
            self._lives, self._size = lives_of(self._journal), size
            if self.invocation.as_pid1:
                for life in self._lives:
                    life.began = self._seen_from_outside(life.began)
        return self._lives

    def _seen_from_outside(self, began: ProcessBegan) -> ProcessBegan:
        """PID 1 as what it is outside. What others are there is known only as long as they live: see `pids_outside`."""
        pid, parent = (self.pid if number == 1 else number for number in (began.pid, began.parent_pid))
        return replace(began, pid=pid, parent_pid=parent)

    def pids_outside(self) -> dict[int, int] | None:
        """Returns the pids of what lives by those in records and in the journal; None where these are the same."""
        if not self.invocation.as_pid1:
            return None
        return {1: self.pid, self.pid: self.pid, **pids_outside(self.pid)}

    def records(self, lives: list[Life] | None = None) -> list[Recorded]:
        """Returns the records as of now, the main one first; none if nothing was recorded yet."""
        found = self.lives() if lives is None else lives
        return records_of(found, self.pid if self.invocation.is_python else None, self.folders)

    def registrants(self) -> dict[int, str]:
        """Returns the modules whose code has registered handlers, by the handlers' numbers."""
        lives = self.lives()
        numbers = run_numbers(lives)
        events = (each.event for life in lives for each in life.registrations.values())
        return {numbers[id(event)]: event.caller for event in events}

    def descendants(self, lives: list[Life] | None = None) -> list[Process]:
        """Returns the recorded processes that still live, without the one that was started."""
        found = self.lives() if lives is None else lives
        return [process for process in self._recorded(found) if not process.is_zombie]

    def _recorded(self, lives: list[Life]) -> list[Process]:
        """The recorded processes that are still there, be it as zombies, without the one that was started."""
        moments = {life.began.pid: life.began.time for life in lives if life.began.pid != self.pid}
        outside = (
            self.pids_outside() if moments else None
        )  # who isn't there has ended, and its pid is another's outside
        pids = (
            moments if outside is None else {outside[pid]: moment for pid, moment in moments.items() if pid in outside}
        )
        return [process for pid, moment in pids.items() if (process := written_by(pid, moment))]

    def processes(self, lives: list[Life]) -> list[Process]:
        """Returns the recorded processes that still live, the one that was started included."""
        first = [process for life in lives if life.began.pid == self.pid and (process := Process.of(self.pid))]
        return [*dict.fromkeys(first), *self.descendants(lives)]

    def await_descendants(self, seconds: float) -> set[Process]:
        """Return when no recorded descendant lives any more, at the latest after so many seconds.

        The process that was started has ended.

        Returns:
            What lives of the program then, recorded or not.
        """
        if self._tree.is_lone():  # it has left nobody, which is much cheaper to know than who is there
            self.lives()
            return set()
        deadline = time.monotonic() + seconds
        while True:
            lives = self.lives()
            living = self.living(lives)
            alive = living.intersection(self._recorded(lives))
            more = self._may_get_more(lives, living)
            # What is written in the journal by now tells whether the last ones have left anybody while we looked.
            if not alive and not more and self.lives() is lives:
                return living
            if (left := deadline - time.monotonic()) <= 0:
                return living
            if alive or more:
                wait_for_end(alive, PAUSE if more else left)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and no recorded process below it, a daemon, goes on."""
        if not self.ended:
            return False
        lives = self.lives()
        living = self.living(lives)
        return not living.intersection(self._recorded(lives)) and not self._may_get_more(lives, living)

    def _may_get_more(self, lives: list[Life], living: set[Process]) -> bool:
        """Whether a process was forked or started just now and has not come to write anything."""
        known = {life.began.pid for life in lives}
        starting = (process for process in living if process.pid not in known and process.may_be_starting())
        if self.answers and any(self.answers.is_stub(process.pid) for process in living):
            return True
        return bool(living) and (any(life.unborn for life in lives) or any(starting))

    def result(self, living: set[Process] | None = None) -> ExitResult | None:
        """Returns the result as of now, once the main process has ended; None if that was not recorded.

        Args:
            living: what `await_descendants` has returned just now, if it was asked.
        """
        if self._final is not None:
            return self._final
        lives = self.lives() if living is None else self._lives
        records = self.records(lives)
        left = sorted(process.pid for process in (self.living(lives) if living is None else living))
        if not records or (self.invocation.is_python and records[0].record.pid != self.pid):
            return None
        result = self._result(records, left)
        if left:
            self.output.collect_in_thread()  # of what goes on, and may wait for somebody to read
        else:
            self._final = result
            self._release()
        return result

    def replacement(self, pid: int) -> Replacement | None:
        """Returns the Python program that a process became in the end, if that was not recorded."""
        return replacement(self.lives(), pid, self.invocation.cwd, self._agent)

    def kill_tree(self, why: str, before_kill: Callable[[], object] = nothing) -> list[int]:
        """End what lives of the program and its descendants; returns the pids that had to be killed.

        Args:
            why: or when, in words.
            before_kill: called when they are stopped, but before the first one is killed.
        """
        if self._released:
            return []
        stubs, outside = self._stubs(), self.pids_outside()  # now, for they live
        try:
            # Before the journal is read, which may be long or malformed.
            killed = self._tree.end(KILL_PATIENCE, (), before_kill)
            if recorded := self._recorded(self.lives()):
                killed |= self._tree.end(KILL_PATIENCE, recorded)
        finally:
            self.output.wait(KILL_PATIENCE)
        pids = {process.pid for process in killed - stubs}
        inside = pids if outside is None else {pid for pid, known in outside.items() if known in pids}
        self.killed |= dict.fromkeys(inside - self.killed.keys(), why)
        return sorted(pids)

    def close(self) -> list[int]:
        """Leave nothing behind; returns the pids that had to be killed."""
        if self._released:
            return []
        try:
            return self.kill_tree(TEST_ENDED)
        finally:
            self._release()

    def _release(self) -> None:
        self._released = True
        if self.answers:
            if self._stubs():  # nobody is left who could wait for them
                self._tree.end(KILL_PATIENCE)
            self.answers.close()
        self._guardian.forget(self.pid)  # before the pid can become another's
        self.output.close()
        self._journal.close()

    def living(self, lives: list[Life]) -> set[Process]:
        """What lives of the program, wherever it went: but no stub that has asked, for it is only a command's shape."""
        living = self._tree.find(self._recorded(lives))
        if self.answers is None:
            return living
        known = self.answers.known_pids
        return {process for process in living if process.pid not in known or not self.answers.is_stub(process.pid)}

    def _stubs(self) -> set[Process]:
        """What stands for commands."""
        if self.answers is None:
            return set()
        return {process for process in self._tree.find() if self.answers.is_stub(process.pid)}

    def _commands(self) -> tuple[list[Command], list[Command]]:
        """Returns the commands that were called and answered for, and those that were refused."""
        if self.answers is None:
            return [], []
        from pytest_atexit._commands import commands_of  # noqa: PLC0415, few tests need it

        outside = {1: self.pid} if self.invocation.as_pid1 else {}
        asked = self.answers.asked()
        answered, refused = ([each for each in asked if each.is_refused is wanted] for wanted in (False, True))
        return commands_of(answered, self._lives, outside), commands_of(refused, self._lives, outside)

    def _result(self, records: list[Recorded], left: list[int]) -> ExitResult:
        main, status = records[0], self.status
        others = [
            replace(each, record=replace(each.record, status=status)) if each.record.pid == self.pid else each
            for each in records[1:]
        ]
        assert self.output.ended is not None
        stdout, stderr = self.output.read()
        killed = status.signal == signal.SIGKILL
        became = any(each.record.pid == main.record.pid and each.record.role == "exec" for each in others)
        make = partial(
            Evidence,
            status=status,
            stderr=stderr.decode("utf-8", "replace"),
            caught=frozenset(self.caught),
            grace=self.grace if killed else None,
            overran=self.overran,
            hung=self.hung,
            killed="" if became else self.killed.get(self.pid, ""),
            is_foreign=main.record.pid != self.pid,
            is_pid1=self.invocation.as_pid1,
        )
        evidence = evidence_of(main, self.folders, make, became=became)
        commands, self.refused = self._commands()
        first = min((call.started for call in main.life.calls if call.in_exit), default=None)
        ended = {"status": status, "ending": ending_of(evidence), "reason": reason_of(evidence)}
        return ExitResult(
            **{**vars(main.record), **ended},
            stdout_bytes=stdout,
            stderr_bytes=stderr,
            duration=(self.output.ended - self.began) * NANOSECONDS,
            exit_duration=None if first is None else (self.output.ended - first) * NANOSECONDS,
            children=explained(others, left, self.killed, self.folders),
            left_running=left,
            path=self.invocation.folder,
            command=self.command,
            grace_used=self.grace_used,
            killed_after_grace=self.grace is not None and killed,
            commands=commands,
        )


def _orphaned(process: str, command: str) -> PytestAtexitError:
    return PytestAtexitError(
        f"how the program ended is not known: the fork server, which had forked process {process}, died before it was "
        f'asked. Run it again; where something ends the server each time, say launcher="spawn"\n$ {command}'
    )


def _taken(process: str, command: str) -> PytestAtexitError:
    return PytestAtexitError(
        f"how the program ended is not known: the exit status of process {process} was taken by somebody else's wait "
        "in the process of the tests, for any child (os.wait(), os.waitpid(-1, ...), a handler of SIGCHLD, or SIGCHLD "
        f"ignored). Let that wait for its own children, by their pids\n$ {command}"
    )
