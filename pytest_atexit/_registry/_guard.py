"""Keeps handlers that tests leave in this process apart: they can be named, and don't run at pytest's own exit."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from pytest_atexit._origin import origin_of
from pytest_atexit._registry._description import caller
from pytest_atexit._registry._entries import Entry
from pytest_atexit._registry._functions import FUNCTIONS
from pytest_atexit._registry._recorder import RUNNERS, STDLIB, Recorder, is_outside

if TYPE_CHECKING:
    from pytest_atexit._events import Registered

ADVICE = (
    "It was taken out, for at pytest's own exit it could change the exit code, or print. Let the test take it out "
    "itself (atexit.unregister), or use atexit_registry or capexit."
)
WRAPPED = re.compile("_(?:xunit|unittest)_(.+?)_fixture_")


class Guard(Recorder):
    """What the functions of `atexit` act on in a guarded session: the interpreter's registry, and one above it.

    What is registered while a test is on goes to the upper one.
    """

    passes_on = True

    def __init__(self, folders: list[str]) -> None:
        super().__init__(folders)
        self._test = ""
        self._fixture = ""
        self._owners: dict[int, tuple[str, str]] = {}  # test and fixture by the number of an entry
        FUNCTIONS.come(self)

    def close(self) -> None:
        """Let the functions act on what they acted on before. What is still kept apart is forgotten."""
        FUNCTIONS.go(self)

    def enter(self, test: str) -> None:
        """A test begins that is guarded, or one that isn't (an empty name)."""
        self._test = test

    def setting_up(self, fixture: str) -> str:
        """The fixture of a wider scope is set up that has this name, or none any more; returns what was before."""
        before, self._fixture = self._fixture, fixture
        return before

    def leave(self, *, is_last: bool) -> list[str]:
        """The test is over, and so are its fixtures; returns a line for each handler that is left.

        Args:
            is_last: no further test comes, and fixtures of wider scopes are over as well.
        """
        self._test = ""
        left = [entry for entry in self.entries if entry and (is_last or not self._owners[entry.number][1])]
        if not left:
            return []
        handlers = {handler.number: handler for handler in self.record().handlers}
        lines = []
        for entry in sorted(left, key=lambda entry: entry.number):
            self.entries.discard(entry)
            handler = handlers[entry.number]
            test, fixture = self._owners.pop(entry.number)
            # pytest wraps `setup_module` and the like in fixtures: "_xunit_setup_module_fixture_…".
            function = WRAPPED.match(fixture)
            where = f", in {function[1]}" if function else f", while the fixture {fixture} was set up" * bool(fixture)
            lines.append(
                f"{test} left a handler in the pytest process: {handler}, registered at {handler.where}{where}"
            )
        return lines

    def register(self, func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """As `atexit.register`."""
        test, fixture = self._test, self._fixture
        event = self._registration(func, args, kwargs)
        if not test or is_outside(event) or _is_for_the_process(event, caller()):
            FUNCTIONS.call("register", func, *args, **kwargs)
        else:
            self._add(
                event, Entry(func, args, kwargs, 0), lambda number: self._owners.update({number: (test, fixture)})
            )

    def unregister(self, func: object) -> None:
        """As `atexit.unregister`."""
        self.entries.unregister(func)
        FUNCTIONS.call("unregister", func)

    def clear(self) -> None:
        """As `atexit._clear`."""
        self.entries.clear()
        FUNCTIONS.call("_clear")

    def count(self) -> int:
        """As `atexit._ncallbacks`."""
        return len(self.entries) + int(FUNCTIONS.call("_ncallbacks"))

    def run(self) -> None:
        """As `atexit._run_exitfuncs`."""
        super().run()
        FUNCTIONS.call("_run_exitfuncs")


def _is_for_the_process(event: Registered, frame: FrameType | None) -> bool:
    """Whether a library registers while it is imported: once, in whatever test is the first to do so."""
    if origin_of(event, STDLIB) != "library":
        return False
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] not in RUNNERS:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False
