"""What a test wants of a record, compared with the facts. Each check hides its own frame and explains itself."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn, cast

from pytest_atexit import _explain
from pytest_atexit._ending import Ending, as_ending
from pytest_atexit._errors import LaunchError, UnknownHandler
from pytest_atexit._handler import HIDDEN
from pytest_atexit._status import signal_name

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler
    from pytest_atexit._result import ProcessRecord
    from pytest_atexit._status import ExitStatus


class Assertions:
    """The assertions of a ProcessRecord. Names may be those of any handler, the standard library's included."""

    def assert_order(self, *names: str) -> None:
        """These handlers ran, in this order; others may have run between them.

        Raises:
            AssertionError: one of them did not run, or another order was observed.
            UnknownHandler: a name that was never registered.
        """
        __tracebackhide__ = True
        self._check_known(names)
        called = [handler.name for handler in self._record.timeline]
        rest = iter(called)
        if not all(name in rest for name in names):
            wanted = [name for name in called if name in names]
            self._fail("the handlers did not run in this order", names, wanted)

    def assert_ran(self, *names: str, times: int | None = None) -> None:
        """Each of these handlers was called, `times` times if that is given, else at least once.

        Raises:
            AssertionError: one was not, or not that often.
            UnknownHandler: a name that was never registered.
        """
        __tracebackhide__ = True
        self._check_known(names)
        counts = self._counts([self._record])
        wrong = [name for name in names if (counts[name] != times if times is not None else not counts[name])]
        if wrong:
            often = "" if times is None else f" {_explain.times(times)}"
            wanted = [f"{name}: {'at least 1' if times is None else times}" for name in names]
            self._fail(f"{_explain.listed(wrong)} did not run{often}", wanted, [f"{n}: {counts[n]}" for n in names])

    def assert_ran_once(self, *names: str, tree: bool = False) -> None:
        """Each of these handlers was called exactly once, in this process or, with `tree`, in all of the run together.

        Raises:
            AssertionError: one was called more often, or never.
            UnknownHandler: a name that was never registered.
        """
        __tracebackhide__ = True
        records = [self._record, *getattr(self, "children", ())] if tree else [self._record]
        self._check_known(names, records)
        counts = self._counts(records)
        wrong = [name for name in names if counts[name] != 1]
        if wrong:
            place = " in all processes together" if tree else ""
            actual = [f"{name}: {counts[name]}" for name in names]
            self._fail(f"{_explain.listed(wrong)} did not run exactly once{place}", [f"{n}: 1" for n in names], actual)

    def assert_not_ran(self, *names: str, by: Ending | signal.Signals | int | str | None = None) -> None:
        """Each of these handlers was registered and never called and, with `by`, the program ended that way.

        Raises:
            AssertionError: one was called, or the program ended another way.
            UnknownHandler: a name that was never registered: such a test would prove nothing.
            ValueError: there is no ending `by`.
        """
        __tracebackhide__ = True
        self._check_known(names)
        wanted = None if by is None else _wanted_ending(by)
        counts = self._counts([self._record])
        wrong = [name for name in names if counts[name]]
        if wrong:
            self._fail(
                f"{_explain.listed(wrong)} ran", [f"{n}: 0" for n in names], [f"{n}: {counts[n]}" for n in names]
            )
        if wanted is not None:
            self._check_ending(wanted)

    def assert_no_duplicates(self) -> None:
        """No handler of this process ran more than once.

        Raises:
            AssertionError: one did, or there was no handler at all.
        """
        __tracebackhide__ = True
        self._check_any()
        if duplicates := self._record.duplicates:
            actual = [f"{name}: {count}" for name, count in duplicates.items()]
            self._fail(f"{_explain.listed(duplicates)} ran more than once", [f"{n}: 1" for n in duplicates], actual)

    def assert_unregistered(self, *names: str) -> None:
        """Each of these handlers was taken out by `atexit.unregister` or `atexit._clear`.

        Raises:
            AssertionError: one was not.
            UnknownHandler: a name that was never registered.
        """
        __tracebackhide__ = True
        self._check_known(names)
        wrong = [name for name in names if name not in self._record.unregistered]
        if wrong:
            self._fail(f"{_explain.listed(wrong)} was not unregistered", names, self._record.unregistered)

    def assert_failed(
        self, name: str, exc_type: type[BaseException] | str | None = None, match: str | None = None
    ) -> None:
        """This handler raised, an `exc_type` or a subclass of it, with a message in which `match` is found.

        Raises:
            AssertionError: it did not raise, or something else.
            UnknownHandler: a name that was never registered.
        """
        __tracebackhide__ = True
        self._check_known([name])
        raised = [h.exception for h in self._record.timeline if h.name == name and h.exception]
        wanted = " ".join(filter(None, [_type_name(exc_type), match and f"matching {match!r}"])) or "an exception"
        if not raised:
            self._fail(f"{name} did not raise", [wanted], [])
        for exception in raised:
            types = (exception.type, *exception.bases)
            if (exc_type is None or any(_same_type(exc_type, known) for known in types)) and (
                match is None or re.search(match, exception.message)
            ):
                return
        self._fail(f"{name} raised something else", [wanted], [str(exception) for exception in raised])

    def assert_within(self, seconds: float) -> None:
        """From the first exit-time work to the end took no longer than `seconds`.

        Raises:
            AssertionError: it took longer, or nothing ran at exit.
        """
        __tracebackhide__ = True
        self._check_any()
        took = _explain.exit_duration(self._record)
        if took is None:
            self._fail("no handler ran, so there is no time to compare", [f"at most {seconds:g} s"], [])
        elif took > seconds:
            self._fail("the exit took too long", [f"at most {seconds:g} s"], [f"{took:.3f} s"])

    @property
    def _record(self) -> ProcessRecord:
        return cast("ProcessRecord", self)

    @staticmethod
    def _counts(records: Iterable[ProcessRecord]) -> Counter[str]:
        return Counter(handler.name for record in records for handler in record.timeline)

    def _check_any(self) -> None:
        __tracebackhide__ = True
        if all(handler.origin in HIDDEN for handler in (*self._record.handlers, *self._record.timeline)):
            place = _explain.whereabouts(self._record)
            self._fail(f"no handler was registered {place}, so there is nothing to check", ["a handler"], [])

    def _check_known(self, names: Iterable[object], records: Iterable[ProcessRecord] = ()) -> None:
        __tracebackhide__ = True
        check_known(names, records or [self._record])

    def _check_ending(self, wanted: Ending | str) -> None:
        __tracebackhide__ = True
        record = self._record
        status: ExitStatus | None = getattr(record, "status", None)
        if record.ending is None and status is None:
            self._fail("how this process ended is not known", [str(wanted)], [])
        actual: Ending | str | None = record.ending
        if not isinstance(wanted, Ending) and status and status.signal:
            actual = signal_name(status.signal)
        if actual != wanted:
            ended = f"{actual or 'unknown'} ({status})" if status else str(actual)
            self._fail(f"the program did not end by {wanted}", [str(wanted)], [ended])

    def _fail(self, headline: str, expected: Iterable[str], actual: Iterable[str]) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(_explain.failure(self._record, headline, list(expected), list(actual)))


def check_known(names: Iterable[object], records: Iterable[ProcessRecord]) -> None:
    """Raise an UnknownHandler that lists the handlers of the first record, if a name is in none of them."""
    __tracebackhide__ = True
    if not names:
        msg = "name the handlers to check"
        raise ValueError(msg)
    records = list(records)
    handlers: list[Handler] = [h for record in records for h in (*record.handlers, *record.timeline)]
    known = dict.fromkeys(handler.name for handler in handlers)
    for name in names:
        if not isinstance(name, str):
            msg = f"names of handlers are text, not {type(name).__name__}: {name!r}"
            raise TypeError(msg)
        if name not in known:
            hint = _explain.did_you_mean(name, known)
            others = [child for child in getattr(records[0], "children", ()) if name in child.registered]
            if others:
                where = _explain.listed(f"process {child.pid} ({child.role})" for child in others)
                hint = f" In {where} one was: see result.children."
            raise UnknownHandler(
                f"no handler named {name!r} was ever registered{' in this process' if others else ''}.{hint}\n"
                f"{_explain.known(records[0])}"
            )


def _wanted_ending(by: Ending | signal.Signals | int | str) -> Ending | str:
    """Returns the ending that is meant, or the name of a signal that is none."""
    try:
        return as_ending(by)
    except LaunchError as error:
        number = signal.Signals[by].value if isinstance(by, str) and by in signal.Signals.__members__ else by
        if isinstance(number, int):
            return signal_name(number)
        raise ValueError(str(error)) from None


def _type_name(exc_type: type[BaseException] | str | None) -> str:
    return exc_type if isinstance(exc_type, str) else exc_type.__qualname__ if exc_type else ""


def _same_type(exc_type: type[BaseException] | str, recorded: str) -> bool:
    """Whether a recorded name means this type: one defined in the program is in `__main__` there."""
    if isinstance(exc_type, str):
        return recorded == exc_type or recorded.endswith(f".{exc_type}")
    module, name = exc_type.__module__, exc_type.__qualname__
    if module == "builtins":
        return recorded == name
    return recorded == f"{module}.{name}" or (
        recorded.startswith("__main__.") and recorded.rpartition(".")[2] == name.rpartition(".")[2]
    )
