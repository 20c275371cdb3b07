"""The policy `must_run`: endings under which no handler may be skipped or unfinished."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pytest_atexit import _explain
from pytest_atexit._errors import HandlerSkipped

if TYPE_CHECKING:
    from pytest_atexit._ending import Ending
    from pytest_atexit._result import ExitResult


def check_policy(result: ExitResult, must_run: Collection[Ending]) -> None:
    """Raise HandlerSkipped if the program ended in one of these ways without a handler of its main process.

    Those of its children are not asked for: how a child ended isn't always known, and many end without handlers by
    design, such as the workers of multiprocessing.
    """
    __tracebackhide__ = True
    if result.ending not in must_run:
        return
    found = {"skipped": result.skipped, "unfinished": result.unfinished}
    parts = [f"{_subject(names)} {state}" for state, names in found.items() if names]
    if parts:
        headline = f"{' and '.join(parts)}, which must_run forbids when the program ends by {result.ending}"
        reason = result.reason or "unknown"
        raise HandlerSkipped("\n".join([f"{headline}: {reason}", "", *_explain.story(result)]), result)


def _subject(names: list[str]) -> str:
    """Returns "a was", "a and b were"."""
    different = dict.fromkeys(names)
    return f"{_explain.listed(different)} {'was' if len(different) == 1 else 'were'}"
