"""Reports what a handler raised as the interpreter does."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

from pytest_atexit._registry._description import traceback_of

HOOK_GETS_HANDLER = sys.version_info[:2] < (3, 13)
PREFIX = "Exception ignored in atexit callback"


def report(handler: object, error: BaseException) -> None:
    """Tell `sys.unraisablehook` that a handler raised; nothing comes out of that."""
    if sys.implementation.name == "pypy":
        import __pypy__  # type: ignore[import-not-found]  # noqa: PLC0415, it is only there

        __pypy__.write_unraisable("in atexit callback", error, handler)
        return
    hook = getattr(sys, "unraisablehook", None) or sys.__unraisablehook__
    try:
        unraisable = _arguments(error, *_words(handler))
        sys.audit("sys.unraisablehook", hook, unraisable)
        hook(unraisable)
    except BaseException as failure:  # noqa: BLE001, the interpreter ignores that, too
        sys.__unraisablehook__(_arguments(failure, "Exception ignored in sys.unraisablehook", hook))


def _words(handler: object) -> tuple[str | None, object]:
    """Returns message and object."""
    if HOOK_GETS_HANDLER:
        return PREFIX, handler
    try:
        return f"{PREFIX} {handler!r}", None
    except BaseException:  # noqa: BLE001, whatever its `__repr__` does
        return None, None


def _arguments(error: BaseException, message: str | None, about: object) -> Any:  # noqa: ANN401, its type has no name
    return _type()((type(error), error, traceback_of(error), message, about))


@cache
def _type() -> Callable[..., Any]:
    """Returns the type of what the hook gets, which only the interpreter can make: of an exception in a callback."""
    seen: list[Callable[..., Any]] = []
    before = sys.unraisablehook

    class Witness:
        pass

    def raise_something(_: object) -> None:
        raise ValueError

    def see(unraisable: Any) -> None:  # noqa: ANN401, see above
        if unraisable.object is raise_something or isinstance(unraisable.exc_value, ValueError):
            seen.append(type(unraisable))
        else:
            before(unraisable)  # another thread's

    sys.unraisablehook = see
    try:
        witness = Witness()
        reference = weakref.ref(witness, raise_something)
        del witness
    finally:
        sys.unraisablehook = before
    del reference
    return seen[0]
