"""Turns facts into lines of text: pure functions."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_atexit._errors import printable
from pytest_atexit._messages import explained_in

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler
    from pytest_atexit._result import ExitResult, ProcessRecord

SHOWN_LINES = 30  # of stdout or stderr in a message: the last ones
SHOWN_CHARACTERS = 100  # of a handler with its arguments
SHOWN_HANDLERS = 60  # of a timeline: the first ones


def times(count: int) -> str:
    """Returns "once", "twice", "3 times"."""
    return {0: "zero times", 1: "once", 2: "twice"}.get(count, f"{count} times")


def listed(names: Iterable[str]) -> str:
    """Returns "a", "a and b", "a, b and c"."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last


def plural(count: int, noun: str) -> str:
    """Returns "1 handler", "2 handlers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'flush'?", or nothing where no known name is like this one."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


KINDS = {  # on the timeline, and what a message calls them
    "atexit": "handler",
    "threading": "threading callback",
    "finalize": "finalizer",
    "multiprocessing": "multiprocessing finalizer",
}


def unfinished(record: ProcessRecord) -> list[Handler]:
    """Returns what was called and never returned, of every kind, the innermost call last.

    A thread that the interpreter waited for is none of it if that went on with other work: the wait was interrupted.
    """
    calls = [handler for handler in record.timeline if handler.kind != "unraisable"]
    while calls and calls[-1].kind == "thread":
        calls.pop()
    went_on = len(calls)
    return [
        handler
        for index, handler in enumerate(record.timeline)
        if handler.state == "unfinished" and (handler.kind != "thread" or index >= went_on)
    ]


def was_running(handler: Handler) -> str:
    """Returns "the handler close was running"."""
    if handler.kind == "thread":
        return f"the interpreter waited for thread {handler.name}"
    return f"the {KINDS.get(handler.kind, handler.kind)} {handler.name} was running"


def did_not_end(handler: Handler) -> str:
    """Returns "the handler close() did not return; it was registered at app.py:12"."""
    if handler.kind == "thread":
        return f"the interpreter waited for thread {handler.name}"
    noun = KINDS.get(handler.kind, handler.kind)
    return f"the {noun} {handler} did not return; it was registered at {handler.where}"


def registered(handler: Handler) -> str:
    """Returns "the handler close, registered at app.py:12"."""
    return f"the {KINDS.get(handler.kind, handler.kind)} {handler.name}, registered at {handler.where}"


def whose(handler: Handler) -> str:
    """Returns "the handler close, registered at app.py:12: "."""
    if handler.kind in KINDS:
        return f"{registered(handler)}: "
    return f"{'thread ' if handler.kind == 'thread' else ''}{handler.name}: "


def exit_duration(record: ProcessRecord) -> float | None:
    """Returns the seconds of exit-time work: to the process's end, where that is known, else to the last handler's."""
    if hasattr(record, "exit_duration"):
        return record.exit_duration  # type: ignore[no-any-return]
    started = [handler.started for handler in record.timeline if handler.started is not None]
    finished = [handler.finished for handler in record.timeline if handler.finished is not None]
    return max(finished) - min(started) if started and finished else None


def failure(record: ProcessRecord, headline: str, expected: list[str], actual: list[str]) -> str:
    """Returns the message of a failed assertion."""
    return printable("\n".join([headline, f"  expected: {expected}", f"  actual:   {actual}", "", *story(record)]))


def whereabouts(record: ProcessRecord) -> str:
    """Returns where, or by whom, something was registered."""
    # Of the main process of a program there is an ExitResult; without children it is the registry of a test.
    is_registry = record.role == "main" and not hasattr(record, "children")
    return "by this test" if is_registry else "in this process"


def known(record: ProcessRecord) -> str:
    """Returns which handlers there were."""
    if not record.handlers:
        return f"No handler was registered {whereabouts(record)}."
    return "\n".join(
        ["Registered were:", *(f"  {_cut(str(h))}  registered at {h.where}" for h in record.handlers[:SHOWN_HANDLERS])]
    )


def story(record: ProcessRecord) -> list[str]:
    """Returns status, reason and exit timeline of a process, and of those below it that had handlers."""
    lines = []
    if status := getattr(record, "status", None):
        ending = str(record.ending or "")
        lines.append(f"status: {status}{f' (ended by {ending})' if ending and ending not in str(status) else ''}")
    if record.reason:
        lines.append(f"reason: {record.reason}")
    lines += timeline(record)
    if record.unrecorded:
        lines.append(
            f"  (not recorded: {plural(record.unrecorded, 'handler')}, registered while Python started, before the "
            "recorder was loaded: by a .pth file, say)"
        )
    for child in getattr(record, "children", ()):
        if child.handlers:
            lines += ["", *timeline(child), *([f"  reason: {child.reason}"] if child.reason else [])]
    lines += rules([record, *getattr(record, "children", ())], getattr(record, "stderr", ""))
    return [*map(printable, lines)]


def rules(records: Iterable[ProcessRecord], stderr: str = "") -> list[str]:
    """Returns a line for each message of Python's shutdown: whose it is, and the rule behind it.

    Args:
        records: processes whose handlers may have raised.
        stderr: what they wrote.
    """
    lines: dict[str, None] = {}
    told: set[str] = set()
    for record in records:
        for handler in record.timeline if record.told.raised else ():
            for found in explained_in(handler.exception.traceback) if handler.exception else ():
                lines[str(found._replace(whose=whose(handler)))] = None
                told.add(found.message)
    lines.update({str(found): None for found in explained_in(stderr) if found.message not in told})
    return [f"why {line}" for line in lines]


def timeline(record: ProcessRecord) -> list[str]:
    """Returns the exit timeline: what was called, in order, then what was not."""
    title = f"exit timeline of process {record.pid} ({record.role})"
    rest = [handler for handler in record.handlers if handler.state in ("skipped", "unregistered")]
    rows = [_row(handler, still_running=record.still_running) for handler in (*record.timeline, *rest)]
    if not rows:
        return [f"{title}: no handler was registered"]
    shown = rows[:SHOWN_HANDLERS]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
    more = [f"  … and {len(rows) - SHOWN_HANDLERS} more"] if len(rows) > SHOWN_HANDLERS else []
    return [f"{title}:", *lines, *more, *(f"    {line}" for line in _exceptions(record))]


def state_of(handler: Handler, *, still_running: bool) -> str:
    """Returns its state, in other words where the process has not ended: what is skipped there may still run."""
    words = {"skipped": "registered", "unfinished": "running"} if still_running else {}
    return words.get(handler.state, handler.state)


def _row(handler: Handler, *, still_running: bool) -> tuple[str, str, str, str, str]:
    state = state_of(handler, still_running=still_running)
    called = handler.state not in ("skipped", "unregistered")
    when = f"{handler.started:.3f} s" if called and handler.started is not None else ""
    took = f"{handler.duration * 1000:.1f} ms" if called and handler.duration is not None else ""
    notes = [_what(handler)]
    notes += ["inherited"] if handler.inherited else []
    notes += [handler.origin] if handler.origin != "program" else []
    return when, state, _cut(printable(str(handler))), took, printable(", ".join(notes))


def _what(handler: Handler) -> str:
    """Returns what kind of work it was, and from which line of the program it comes."""
    match handler.kind:
        case "threading":
            return f"callback of threading, registered at {handler.where}"
        case "thread":
            return f"a thread that the interpreter waited for, of {handler.where}"
        case "finalize":
            return f"weakref.finalize, made at {handler.where}"
        case "multiprocessing":
            return f"multiprocessing finalizer, priority {handler.priority}, made at {handler.where}"
        case "unraisable":
            place = f" at {handler.where}" if handler.where else ""
            return f"an exception that was ignored{place}, phase {handler.phase}"
        case _:
            return f"registered at {handler.where}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _exceptions(record: ProcessRecord) -> list[str]:
    lines = []
    for handler in record.timeline:
        if handler.exception:
            lines += [f"{handler.name} raised:", *handler.exception.traceback.splitlines()]
    return [*map(printable, lines)]


def output(name: str, text: str) -> list[str]:
    """Returns the last lines of what a program wrote, under a title; nothing if it wrote nothing."""
    lines = text.splitlines()
    if not lines:
        return []
    cut = [f"  (… {len(lines) - SHOWN_LINES} lines before)"] if len(lines) > SHOWN_LINES else []
    return [f"{name}:", *cut, *(f"  {line}" for line in lines[-SHOWN_LINES:])]


def report(result: ExitResult) -> str:
    """Returns the report section of a run in a failing test."""
    lines = [printable(f"$ {result.command}"), *story(result)]
    for called in result.commands:
        by = f" by {called.handler}" if called.handler else ""
        code = "" if called.returncode is None else f"  returned {called.returncode}"
        lines.append(printable(f"command{by}: {_cut(shlex.join(called.command))}{code}"))
    if result.left_running:
        lines.append(f"left running: {', '.join(map(str, result.left_running))}")
    return "\n".join([*lines, *output("stdout", result.stdout), *output("stderr", result.stderr)])
