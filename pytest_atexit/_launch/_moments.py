"""Moments: a test has a handler held at its start, and acts while it is.

The test and the processes of a program talk to each other in the first part of the journal, see docs/journal.md.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from pytest_atexit import _explain
from pytest_atexit._errors import ProgramEnded, PytestAtexitError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_atexit._handler import Handler
    from pytest_atexit._journal import Journal
    from pytest_atexit._launch._run import Run

SLOT, OVER, HELD, WHO, NAME = 1 << 10, 1, 2, 8, 64  # as in the agent
MOST = 1022  # slots: behind them there is an empty one
NANOSECONDS = 1e-9


class Held(NamedTuple):
    """A handler that is held: its process, and its number there."""

    pid: int
    number: int


class Moments:
    """What a test wants to hold of one run, as the processes of the program read it in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._armed: list[Moment] = []

    @property
    def variable(self) -> str:
        """What tells the agent where the journal is, and to look into it before it calls a handler."""
        return f"{self._journal.path}#moments"

    def arm(self, moment: Moment) -> int:
        """Have the next handler of that name held; returns the number of the moment, from 1 on."""
        name = moment.name.encode("unicode_escape") + b"\n"
        if len(name) > SLOT - NAME:
            raise ValueError(f"no handler has so long a name: {moment.name!r}")
        if len(self._armed) == MOST:
            raise ValueError(f"a program has {MOST} moments at most")
        self._armed.append(moment)
        number = len(self._armed)
        self._write(number, NAME, name)
        self._write(number, 0, b"\1")  # behind the name, …
        self._write(0, 0, b"\1")  # … and the first one is looked for only now
        return number

    def held(self, number: int) -> Held | None:
        """Returns which handler is or was held, if one is or was."""
        slot = self._read(number)
        return Held(*map(int, slot[WHO:NAME].partition(b"\n")[0].split())) if slot[HELD] else None

    def is_over(self, number: int) -> bool:
        """Whether what is held for it may go on, and nothing is held any more."""
        return bool(self._read(number)[OVER])

    def end(self, number: int) -> None:
        """Let it go on, and hold nothing any more."""
        self._write(number, OVER, b"\1")

    def check_forgotten(self) -> None:
        """Raise an error if a handler is held for a moment that this thread, which waits for the end, has armed."""
        __tracebackhide__ = True
        me = threading.get_ident()
        for moment in self._armed:
            if moment.armed_by == me and moment.is_pending and (pid := moment.pid):
                moment.end()
                raise PytestAtexitError(
                    f"process {pid} is held at the start of the handler {moment.name!r}, but the test waits for "
                    f"its end and has not entered the moment: with program.during({moment.name!r}): ..."
                )

    def lines(self, alive: set[int]) -> list[str]:
        """Returns a line for each of these processes that is held."""
        return [
            f"process {moment.pid} could not go on: the test held it at the start of the handler {moment.name!r}"
            for moment in self._armed
            if not moment.is_over and moment.pid in alive
        ]

    def _write(self, number: int, at: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the run is over, and its journal is closed
            os.pwrite(self._journal.descriptor, data, number * SLOT + at)

    def _read(self, number: int) -> bytes:
        try:
            return os.pread(self._journal.descriptor, SLOT, number * SLOT)
        except OSError:  # likewise
            return bytes(SLOT)


class Moment:
    """The start of a handler. `with` waits until it begins, and holds it there until the block is left.

    What happens in the block happens to a program that has called the handler and has not come to its first line. Other
    threads and processes go on, and signals act. It can be entered once.

    Attributes:
        name: of the handler.
        armed_by: the thread that armed it.
    """

    def __init__(
        self,
        run: Run,
        until: Callable[[Callable[[], Held | None], float | None, str, Callable[[], list[str]]], Held],
        name: str,
        timeout: float | None,
    ) -> None:
        __tracebackhide__ = True
        if not isinstance(name, str):
            raise TypeError(f"the name of a handler is text, not {name!r}")
        self.name = name
        self.armed_by = threading.get_ident()
        self._run = run
        self._until = until
        self._timeout = timeout
        self._entered = False
        self._pid: int | None = None
        self._held: Held | None = None  # kept, for the run may be over and its journal closed
        if run.is_over:
            raise ProgramEnded(f"the program had ended ({run.status}) when the moment was armed")
        self._number = run.moments.arm(self)
        self._armed = time.monotonic_ns()
        if self._has_begun() and not self._may_begin():
            self.end()
            raise PytestAtexitError(
                f"the handler {name!r} had already begun when the moment was armed, and no other one of that name is "
                "registered: arm it before the test sets the end off"
            )

    def __repr__(self) -> str:
        state = "over" if self.is_over else "held" if self.held else "armed"
        return f"<Moment {self.name!r} {state}>"

    @property
    def held(self) -> Held | None:
        """Which process is or was held, if one is or was."""
        if self._held is None and (held := self._run.moments.held(self._number)):
            outside = self._run.pids_outside()  # now, for it lives
            self._held, self._pid = held, held.pid if outside is None else outside.get(held.pid)
        return self._held

    @property
    def pid(self) -> int | None:
        """The process that is or was held, or None if none was, or if it ended at once in a namespace of its own."""
        return self._pid if self.held else None

    @property
    def is_pending(self) -> bool:
        """Whether nobody has entered it."""
        return not self._entered and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing is held any more."""
        return self._run.moments.is_over(self._number)

    def __enter__(self) -> Self:
        """Wait until the handler begins.

        Raises:
            ProgramEnded: the program ended first.
            WaitTimeout: the handler did not begin in time.
        """
        __tracebackhide__ = True
        if not self.is_pending:
            raise PytestAtexitError(
                f"this moment of {self.name!r} is over: arm another one for another call of the handler"
            )
        self._entered = True
        try:
            what = f"the handler {self.name!r} to begin"
            self._until(lambda: self.held, self._timeout, what, self._what_there_was)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Let the program go on."""
        self._run.moments.end(self._number)

    def _calls(self) -> list[tuple[float, Handler]]:
        """Calls of handlers of that name so far, each with its time on the monotonic clock in seconds."""
        return [
            (recorded.life.began.time * NANOSECONDS + (handler.started or 0), handler)
            for recorded in self._run.records()
            for handler in recorded.record.timeline
            if handler.name == self.name
        ]

    def _has_begun(self) -> bool:
        """Whether a handler of that name began before the moment was armed."""
        return any(time < self._armed * NANOSECONDS for time, _ in self._calls())

    def _may_begin(self) -> bool:
        """Whether one of that name is still to be called."""
        registered = (handler for recorded in self._run.records() for handler in recorded.record.handlers)
        return any(handler.name == self.name and handler.state == "skipped" for handler in registered)

    def _what_there_was(self) -> list[str]:
        """Returns lines on why the handler didn't begin."""
        if self._has_begun():
            return [f"{self.name!r} had begun before the moment was armed: arm it before the test sets the end off"]
        running = not self._run.ended
        records = [recorded.record for recorded in self._run.records()]
        handlers = [handler for record in records for handler in record.handlers]
        names = dict.fromkeys(handler.name for handler in handlers)
        lines = []
        if self.name not in names:
            lines.append(f"no handler {self.name!r} was registered.{_explain.did_you_mean(self.name, names)}")
        if running and not any(record.timeline for record in records):
            lines.append(
                "the program still ran, and had called no handler: arm the moment, set the end off, then enter it: "
                f"moment = program.during({self.name!r}); program.terminate(); with moment: ..."
            )
        told = [
            f"  {handler.name}  {_explain.state_of(handler, still_running=running)}, registered at {handler.where}"
            for handler in handlers[: _explain.SHOWN_HANDLERS]
        ]
        return [*lines, "handlers there were:", *told] if told else [*lines, "no handler was registered"]
