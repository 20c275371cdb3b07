"""Replays the events of one program: what became of each handler, and of each call."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pytest_atexit._errors import PytestAtexitError
from pytest_atexit._events import (
    Ended,
    Event,
    Forked,
    Ignored,
    LastCall,
    LastCallFailed,
    Lost,
    ProcessBegan,
    Raised,
    Reaped,
    Registered,
    Started,
    Threw,
    Unregistered,
)
from pytest_atexit._handler import HandlerException
from pytest_atexit._lines import Program

TEARDOWN = 2  # phase of an Ignored
FUNCTION = re.compile(r"<(?:function|bound method|built-in function) (\S+)")  # 3.14 tells no object, but its repr
PHASES = {
    "threading": "threading",
    "thread": "threading",
    "atexit": "atexit",
    "finalize": "atexit",
    "multiprocessing": "atexit",
}
SPAWNING_MODULES = ("os", "subprocess")  # which fork in order to exec


@dataclass(slots=True)
class Registration:
    """A handler as it goes through a program's life."""

    event: Registered
    inherited: bool = False
    removed: bool = False
    calls: tuple[Call, ...] = ()  # mostly one

    @property
    def state(self) -> str:
        """What became of it: how its last call ended, else unregistered or skipped."""
        if self.removed:
            return "unregistered"
        return self.calls[-1].state if self.calls else "skipped"


@dataclass(slots=True, eq=False)
class Call:
    """One call of a handler; `registration` is None for `atexit._run_exitfuncs` itself, and `number` is 0."""

    registration: Registration | None
    started: int
    finished: int | None = None
    exception: HandlerException | None = None
    in_exit: bool = True
    uncaught: bool = False
    number: int = 0
    phase: str | None = None

    @property
    def state(self) -> str:
        """How it ended: ran, failed or unfinished."""
        return "failed" if self.exception else "unfinished" if self.finished is None else "ran"


@dataclass(slots=True)
class Life:
    """What happened to the handlers of one program in one process.

    `born` is when it was started or forked, in nanoseconds: a forked child may come to write only after its siblings.
    """

    began: ProcessBegan
    registrations: dict[int, Registration] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    removals: list[Registration] = field(default_factory=list)
    last_calls: list[LastCall] = field(default_factory=list)
    reaped: list[Reaped] = field(default_factory=list)
    lost: bool = False
    unborn: int = 0
    born: int = 0
    fork_module: str = ""
    parent: Life | None = None
    running: list[Call] = field(default_factory=list)
    threads_that_raised: dict[int, Call] = field(default_factory=dict)

    @property
    def only_spawns(self) -> bool:
        """Whether it is no more than the moment between fork and exec: with `preexec_fn`, or in `os.spawnv`."""
        idle = not self.calls and all(registration.inherited for registration in self.registrations.values())
        return idle and self.fork_module in SPAWNING_MODULES

    @property
    def left_by(self) -> LastCall | None:
        """The call of `os._exit` or `os.exec*` behind which nothing more was seen of the program."""
        last = self.last_calls[-1] if self.last_calls else None
        if last and any(max(call.started, call.finished or 0) > last.time for call in self.calls):
            return None  # it raised something that nobody saw, such as a KeyboardInterrupt
        return last

    def apply(self, event: Event) -> None:
        """Take the next event in."""
        match event:
            case Unregistered():
                for number in event.numbers:
                    self._remove(self._known(number))
            case Threw() if self.running:
                called = [call for call in self.running if call.number == event.number] or self.running
                called[-1].finished, called[-1].exception = event.time, exception_of(event.exceptions)
                self.running.remove(called[-1])
            case Ignored():
                self._ignored(event)
            case LastCall():
                self.last_calls.append(event)
            case LastCallFailed() if self.last_calls:
                self.last_calls.pop()
            case Reaped():
                self.reaped.append(event)
            case Lost() | Forked(address=0):  # there was no room for the child to write
                self.lost = True
            case _:
                pass

    def _known(self, number: int) -> Registration:
        """A registration of this process, or one of its parent's that a run in progress still calls."""
        life: Life = self
        while number not in life.registrations and life.parent:
            life = life.parent
        if number not in life.registrations:
            msg = f"the journal speaks of handler {number}, of whose registration it doesn't tell"
            raise PytestAtexitError(msg)
        if life is not self:
            self.registrations[number] = Registration(life.registrations[number].event, inherited=True)
        return self.registrations[number]

    def _remove(self, registration: Registration) -> None:
        if not registration.calls and not registration.removed:  # what has been called already is no longer pending
            registration.removed = True
            self.removals.append(registration)

    def register(self, event: Registered) -> None:
        """A handler is registered."""
        self.registrations[event.number] = Registration(event)

    def start(self, event: Started) -> None:
        """A handler is called."""
        time, uncaught, number = event
        running = self.running
        in_exit = not running or all(call.number for call in running)
        registration = (self.registrations.get(number) or self._known(number)) if number else None
        phase = PHASES[registration.event.kind] if registration and in_exit else None
        call = Call(registration, time, None, None, in_exit, uncaught, number, phase)
        if registration is None or registration.event.kind != "thread":  # a thread runs beside others
            running.append(call)
        elif early := self.threads_that_raised.pop(number, None):  # it has not ended since
            self.calls.remove(early)
            call.exception = early.exception
        if registration:
            registration.calls += (call,)
            self.calls.append(call)

    def end(self, event: Ended) -> None:
        """It returned."""
        time, number = event
        running = self.running
        for index in range(len(running) - 1, -1, -1):
            if running[index].number == number:
                running[index].finished = time
                del running[index]
                return
        if number in self.registrations:
            self.registrations[number].calls[-1].finished = time

    def _ignored(self, event: Ignored) -> None:
        """An exception was ignored: that of a thread for which the interpreter waits, or one of its own."""
        exception = exception_of(event.exceptions)
        if event.number in self.registrations:
            self.registrations[event.number].calls[-1].exception = exception
        elif event.phase or any(call.in_exit for call in self.calls):
            number, frames = event.number or -len(self.registrations), event.exceptions[0].frames
            file, line = (frames[-1].file, frames[-1].line) if frames else ("", 0)
            found = FUNCTION.search(event.qualname)
            name = (
                found[1] if found else event.qualname.removeprefix("Exception ignored on ") or event.exceptions[0].type
            )
            site = name, event.module, event.home, file, line, event.module, ""
            registration = Registration(Registered(number, event.time, *site, (), {}, "unraisable"))
            phase = next((call.phase for call in reversed(self.calls) if call.phase), "threading")
            phase = "teardown" if event.phase == TEARDOWN else phase
            call = Call(registration, event.time, event.time, exception, number=number, phase=phase)
            self.registrations[number], registration.calls = registration, (call,)
            self.calls.append(call)
            if event.number:
                self.threads_that_raised[number] = call

    def forked(self, began: ProcessBegan, moment: Forked) -> Life:
        """Returns the life of a child that is forked now: it inherits what has not been called or removed."""
        child = Life(began, fork_module=moment.module, parent=self, born=moment.time)
        for number, registration in self.registrations.items():
            if not registration.removed and not registration.calls:
                child.registrations[number] = Registration(registration.event, inherited=True)
        for call in self.running:
            inherited = Registration(call.registration.event, inherited=True) if call.registration else None
            child.running.append(Call(inherited, call.started, in_exit=call.in_exit, number=call.number))
        return child


# What there may be thousands of; `Life.apply` takes the rest.
FREQUENT: dict[type, Callable[[Life, Any], None]] = {
    Registered: Life.register,
    Started: Life.start,
    Ended: Life.end,
}


def replay(program: Program) -> Iterator[Life]:
    """Yields the life of a program and those of all that came of it by forks."""
    began = program.began
    pending = [(program, Life(began, born=began.time))] if began else []
    while pending:  # and no recursion: there may be many generations
        program, life = pending.pop()
        children = _lived(program, life)
        yield life
        pending += reversed(children)


def _lived(program: Program, life: Life) -> list[tuple[Program, Life]]:
    """Let a program's events happen; returns the children that it forked, with the lives that they begin with."""
    forks = iter(program.forks)
    index, child = next(forks, (None, None))
    children = []
    for position, event in enumerate(program.events):
        if position == index and child is not None and isinstance(event, Forked):
            if child.began is None:  # it has not written yet, or the fork failed
                life.unborn += 1
            else:
                children.append((child, life.forked(child.began, event)))
            index, child = next(forks, (None, None))
        FREQUENT.get(type(event), Life.apply)(life, event)
    return children


def exception_of(exceptions: tuple[Raised, ...]) -> HandlerException:
    """Returns what a handler raised, with a traceback as Python prints it."""
    lines: list[str] = []
    for raised in reversed(exceptions):
        lines += ["Traceback (most recent call last):"] if raised.frames else []
        for frame in raised.frames:
            lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.name}')
            if source := linecache.getline(frame.file, frame.line).strip():
                lines.append(f"    {source}")
        name = raised.type.removeprefix("builtins.")
        lines.append(f"{name}: {raised.message}" if raised.message else name)
        if raised.link == "cause":
            lines += ["", "The above exception was the direct cause of the following exception:", ""]
        elif raised.link == "context":
            lines += ["", "During handling of the above exception, another exception occurred:", ""]
    first = exceptions[0]
    return HandlerException(
        type=first.type.removeprefix("builtins."),
        bases=tuple(base.removeprefix("builtins.") for base in first.bases),
        message=first.message,
        traceback="\n".join(lines),
    )
