"""The exit as a text that is the same each time: for snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_atexit._errors import printable
from pytest_atexit._handler import HIDDEN

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler
    from pytest_atexit._result import ProcessRecord

WIDTH = len("unregistered")


def story_of(record: ProcessRecord) -> str:
    """Returns how a process ended and what became of its handlers, and the same of those below it that had any.

    Without times, pids, paths and line numbers; without what the standard library and coverage registered, which
    differs between versions, unless it failed; and without the status of children, which isn't always known.
    """
    lines = []
    if record.role == "main" and (status := getattr(record, "status", None)):
        ending = getattr(record, "ending", None)
        lines.append(f"{status}, ended by {ending}" if ending and str(ending) not in str(status) else str(status))
    lines += [f"{record.role}:", *_rows(record)]
    for child in getattr(record, "children", ()):
        if rows := _rows(child):
            lines += [f"{child.role}:", *rows]
    return printable("\n".join(lines))


def _rows(record: ProcessRecord) -> list[str]:
    """What was called, in order, then what was not."""
    rest = [handler for handler in record.handlers if handler.state in ("skipped", "unregistered")]
    shown = [h for h in (*record.timeline, *rest) if h.origin not in HIDDEN or h.state == "failed"]
    return [f"  {handler.state:<{WIDTH}}  {_what(handler)}" for handler in shown]


def _what(handler: Handler) -> str:
    kind = "" if handler.kind == "atexit" else f" [{handler.kind}]"
    inherited = " (inherited)" if handler.inherited else ""
    error = handler.exception
    raised = f": {str(error).partition(chr(10))[0]}" if error else ""
    return f"{handler}{kind}{inherited}{raised}"
