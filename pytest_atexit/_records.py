"""Makes the records of a run's processes out of its journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter, itemgetter

from pytest_atexit._collector import collector_paused
from pytest_atexit._family import in_start_order, statuses_of
from pytest_atexit._handler import Handler
from pytest_atexit._journal import Journal
from pytest_atexit._origin import origin_of, shown_path
from pytest_atexit._replay import Call, Life, Registration, replay
from pytest_atexit._result import HandlerLists, ProcessRecord, Told, is_named
from pytest_atexit._status import ExitStatus

NANOSECONDS = 1e-9
UNREGISTERED = ("thread", "unraisable")  # kinds that happen at exit without having been registered
HELPERS = ("from multiprocessing.resource_tracker import", "from multiprocessing.forkserver import")
WORKERS = ("--multiprocessing-fork", "from multiprocessing.spawn import")
FORKING_MODULES = ("multiprocessing.popen_fork", "multiprocessing.forkserver", "billiard.popen_fork")


@dataclass(frozen=True)
class Recorded:
    """A process record, and what it was made of.

    Attributes:
        record: of one program in one process.
        life: its own, without sub-interpreters.
        registrations: those of sub-interpreters included.
        exit_calls: calls that belong to the interpreter's exit, likewise.
    """

    record: ProcessRecord
    life: Life
    registrations: list[Registration]
    exit_calls: list[Call]

    @property
    def stdlib(self) -> str:
        """The folder of its standard library, as the interpreter from which it was forked has told."""
        return _first(self.life).began.stdlib

    @property
    def python(self) -> tuple[int, ...]:
        """Major and minor version of its interpreter, likewise."""
        version = _first(self.life).began.python.rpartition(" ")[2]
        return tuple(map(int, version.split(".")[:2]))


def _first(life: Life) -> Life:
    """The program from which it came by forks."""
    while life.parent:
        life = life.parent
    return life


@collector_paused
def lives_of(journal: Journal) -> list[Life]:
    """Returns the lives of all programs in start order, as of the last reading; a sub-interpreter's is its own."""
    lives = [life for program in journal.programs() for life in replay(program)]
    return in_start_order(lives)


def records_of(lives: Iterable[Life], main_pid: int | None, folders: list[str]) -> list[Recorded]:
    """Returns the records of processes, the main one first where there is one, then the others in start order.

    Args:
        lives: from `lives_of`.
        main_pid: the process that was started; None if the first recorded one is the main process.
        folders: paths below these are shown relative to them.
    """
    lives = list(lives)
    numbers = cache(lambda: run_numbers(lives))
    main = next((life for life in lives if main_pid in (None, life.began.pid)), None)
    programs: list[tuple[Life, list[Life]]] = []  # with the sub-interpreters of each
    for life in lives:
        if life.began.interpreter:
            owner = next((p for p in reversed(programs) if p[0].began.pid == life.began.pid), None)
            if owner:
                owner[1].append(life)
                continue
        programs.append((life, []))
    recorded = []
    statuses = statuses_of(lives)
    seen: set[int] = set()
    for life, others in programs:
        if life.only_spawns:
            continue
        role = "main" if life is main else _role(life, life.began.pid in seen)
        seen.add(life.began.pid)
        recorded.append(_recorded(life, others, (role, statuses.get(id(life))), numbers, folders))
    return sorted(recorded, key=lambda each: each.life is not main)


def run_numbers(lives: Iterable[Life]) -> dict[int, int]:
    """Numbers that are unique in the run, by the identity of each registration's event."""
    moments: dict[int, int] = {}
    for life in lives:
        latest = 0  # in one process the order of the lines counts: times are taken a little before
        for registration in life.registrations.values():
            latest = max(latest, registration.event.time)
            moments.setdefault(id(registration.event), latest)
    return {event: number for number, event in enumerate(sorted(moments, key=moments.__getitem__), 1)}


def _role(life: Life, known_pid: bool) -> str:
    if life.parent:
        return "multiprocessing" if life.fork_module in FORKING_MODULES else "fork"
    line = " ".join(life.began.argv)
    if any(part in line for part in HELPERS):
        return "helper"
    if any(part in line for part in WORKERS):
        return "multiprocessing"
    return "exec" if known_pid else "subprocess"


def _recorded(
    life: Life,
    others: list[Life],
    role_and_status: tuple[str, ExitStatus | None],
    numbers: Callable[[], dict[int, int]],
    folders: list[str],
) -> Recorded:
    lives, (role, status) = (life, *others), role_and_status
    calls = [call for each in lives for call in each.calls]
    record = ProcessRecord(
        told=Told(partial(_told, lives, numbers, folders), raised=any(call.exception for call in calls)),
        pid=life.began.pid,
        parent_pid=life.began.parent_pid,
        argv=list(life.began.argv),
        role=role,
        status=status,
        unrecorded=life.began.unrecorded,
        started=life.began.time * NANOSECONDS,
        lost=any(each.lost for each in lives),
    )
    registrations = [registration for each in lives for registration in each.registrations.values()]
    return Recorded(record, life, registrations, [call for call in calls if call.in_exit])


@collector_paused
def _told(lives: Sequence[Life], numbers: Callable[[], dict[int, int]], folders: list[str]) -> HandlerLists:
    """Makes the handlers of a program and of its sub-interpreters."""
    stdlib = _first(lives[0]).began.stdlib
    paths = [*folders, os.path.dirname(stdlib)] if stdlib else folders
    handlers: list[Handler] = []
    calls: list[tuple[int, Handler]] = []
    unregistered: list[str] = []
    for life in lives:
        make = _maker(life, numbers(), stdlib, paths, lives[0].began.time)
        made = {id(registration): make(registration, None) for registration in life.registrations.values()}
        handlers += [made[id(each)] for each in life.registrations.values() if each.event.kind not in UNREGISTERED]
        for call in life.calls:
            if registration := call.registration:
                is_last = not registration.removed and call is registration.calls[-1]
                calls.append((call.started, made[id(registration)] if is_last else make(registration, call)))
        removed = (made[id(registration)] for registration in life.removals)
        unregistered += [handler.name for handler in removed if is_named(handler)]
    calls.sort(key=itemgetter(0))
    return HandlerLists(sorted(handlers, key=attrgetter("number")), [handler for _, handler in calls], unregistered)


def _maker(
    life: Life, numbers: dict[int, int], stdlib: str, folders: list[str], epoch: int
) -> Callable[[Registration, Call | None], Handler]:
    """Returns a function that makes the Handler of a registration or, with a call, of that call."""
    known: dict[tuple[object, ...], tuple[str, str]] = {}  # where and origin: many are registered at one place

    def make(registration: Registration, call: Call | None) -> Handler:
        event = registration.event
        last = call or (registration.calls[-1] if registration.calls else None)
        site = event.file, event.line, event.home, event.caller, event.module
        if site not in known:
            where = f"{shown_path(event.file, folders)}:{event.line}" if event.file else ""
            known[site] = where, origin_of(event, stdlib)
        where, origin = known[site]
        return Handler(
            number=numbers[id(event)],
            name=event.qualname if event.kind == "thread" else short_name(event.qualname),
            qualname=event.qualname,
            module=event.module,
            args=event.args,
            kwargs=event.kwargs,
            where=where,
            origin=origin,
            kind=event.kind,
            state=call.state if call else registration.state,
            exception=last.exception if last else None,
            started=(last.started - epoch) * NANOSECONDS if last else None,
            finished=(last.finished - epoch) * NANOSECONDS if last and last.finished is not None else None,
            thread=event.thread or "MainThread",
            interpreter=life.began.interpreter,
            inherited=registration.inherited,
            priority=event.priority,
            phase=last.phase if last else None,
        )

    return make


def short_name(qualname: str) -> str:
    """Returns "close" for "test.<locals>.close", "partial(close)" for "partial(test.<locals>.close)"."""
    if qualname.startswith("partial("):
        return f"partial({short_name(qualname[len('partial(') : -1])})"
    return qualname.rpartition("<locals>.")[2]
