"""A registry of handlers that records what becomes of them, as the agent and the journal do for a child."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from pytest_atexit._events import Ended, ProcessBegan, Registered, Started, Unregistered
from pytest_atexit._origin import origin_of
from pytest_atexit._records import records_of
from pytest_atexit._registry._description import caller, described, plain, raised, thread_name, traceback_of
from pytest_atexit._registry._entries import Entry, entries_of_this_version
from pytest_atexit._registry._functions import FUNCTIONS
from pytest_atexit._registry._unraisable import report
from pytest_atexit._replay import Call, Life, exception_of
from pytest_atexit._result import ProcessRecord

STDLIB = os.path.dirname(os.__file__)
RUNNERS = ("_pytest", "pytest", "xdist", "execnet")  # packages that run the tests, and register for themselves


class Recorder:
    """Registered handlers, and the record of them. It is what functions of `atexit` act on (Target).

    Args:
        folders: paths below these are shown relative to them.
    """

    passes_on = False

    def __init__(self, folders: list[str]) -> None:
        self.entries = entries_of_this_version()(self._removed, self._call)
        self._folders = folders
        self._lock = threading.RLock()  # of the record; it is not held while anybody else's code runs
        now = time.monotonic_ns()
        argv = tuple(sys.orig_argv)
        began = ProcessBegan(now, "start", os.getpid(), os.getppid(), 0, 0, "", sys.executable, STDLIB, argv)
        self._life = Life(began, born=now)

    def register(self, func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """As `atexit.register`."""
        event = self._registration(func, args, kwargs)
        if is_outside(event):
            FUNCTIONS.call("register", func, *args, **kwargs)
            return
        self._add(event, Entry(func, args, kwargs, 0))

    def unregister(self, func: object) -> None:
        """As `atexit.unregister`."""
        self.entries.unregister(func)

    def clear(self) -> None:
        """As `atexit._clear`."""
        self.entries.clear()

    def count(self) -> int:
        """As `atexit._ncallbacks`."""
        return len(self.entries)

    def run(self) -> None:
        """As `atexit._run_exitfuncs`, called by the program."""
        by_hand = self._started(0)
        self.entries.run()
        self._ended(by_hand)

    def record(self) -> ProcessRecord:
        """Returns what has happened until now."""
        with self._lock:
            record = records_of([self._life], None, self._folders)[0].record
            _ = record.told.lists  # now, for more may happen
            return record

    def _registration(self, func: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Registered:
        name, module, home = described(func)
        frame = caller()
        return Registered(
            number=0,
            time=time.monotonic_ns(),
            qualname=name,
            module=module,
            home=home,
            file=frame.f_code.co_filename if frame else "",
            line=(frame.f_lineno or 0) if frame else 0,
            caller=str(frame.f_globals.get("__name__", "")) if frame else "",
            thread=thread_name(),
            args=plain(args),
            kwargs=plain(kwargs),
        )

    def _add(self, event: Registered, entry: Entry, numbered: Callable[[int], object] = id) -> None:
        """Take a handler in; `numbered` is told its number before it can be found."""
        with self._lock:
            entry.number = len(self._life.registrations) + 1
            numbered(entry.number)
            self._life.register(event._replace(number=entry.number))
            self.entries.append(entry)

    def _removed(self, entries: Iterable[Entry]) -> None:
        with self._lock:
            numbers = tuple(entry.number for entry in entries)
            self._life.apply(Unregistered(time.monotonic_ns(), numbers, cleared=False))

    def _call(self, entry: Entry) -> None:
        call, error = self._started(entry.number), None
        try:
            entry.func(*entry.args, **entry.kwargs)
        except BaseException as caught:  # noqa: BLE001, as the interpreter
            error, steps = caught, traceback_of(caught)
            BaseException.with_traceback(error, steps and steps.tb_next)  # the first one is in this function
        self._ended(call, error)
        if error is not None:
            report(entry.func, error)  # when it isn't being handled any more, for `sys.exc_info`

    def _started(self, number: int) -> Call:
        with self._lock:
            self._life.start(Started(time.monotonic_ns(), uncaught=False, number=number))
            return self._life.running[-1]

    def _ended(self, call: Call, error: BaseException | None = None) -> None:
        now = time.monotonic_ns()
        exception = None if error is None else exception_of(tuple(raised(error)))  # it may be false
        with self._lock:
            if exception:
                call.finished, call.exception = now, exception
                self._life.running.remove(call)
            else:
                self._life.end(Ended(now, call.number))


def is_outside(event: Registered) -> bool:
    """Whether it is none of the test's: for the whole process, and once, or for those who run the tests.

    What the standard library registers for itself (`weakref.finalize`, `logging.shutdown`, …) it registers when it is
    used first, be that before a test or in it, and knows that it has.
    """
    origin = origin_of(event, STDLIB)
    return (
        origin == "coverage"
        or event.caller.partition(".")[0] in RUNNERS
        or (origin == "stdlib" and event.module == event.caller)
    )
