"""A run as plain data: what travels from workers, stands in files and is shown. docs/report.md says what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from pytest_atexit._result import is_named
from pytest_atexit._status import signal_name

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler, HandlerException
    from pytest_atexit._result import ExitResult, ProcessRecord
    from pytest_atexit._status import ExitStatus

KEPT = 100  # handlers of each process that a record which isn't complete has at most


class StatusFacts(TypedDict):
    """An exit code or a signal, the other one None."""

    code: int | None
    signal: str | None
    text: str


class ExceptionFacts(TypedDict):
    """As HandlerException."""

    type: str
    bases: list[str]
    message: str
    traceback: str


class HandlerFacts(TypedDict):
    """As Handler, with arguments as their source text."""

    number: int
    name: str
    qualname: str
    module: str
    args: list[str]
    kwargs: dict[str, str]
    where: str
    origin: str
    kind: str
    state: str
    exception: ExceptionFacts | None
    started: float | None
    finished: float | None
    thread: str
    interpreter: int
    inherited: bool
    priority: int | None
    phase: str | None
    named: bool


class Counts(TypedDict):
    """How many handlers; failed are those and other work at exit."""

    registered: int
    ran: int
    failed: int
    unfinished: int
    skipped: int
    unregistered: int


class ProcessFacts(TypedDict):
    """As ProcessRecord; `started` is in seconds after the main process."""

    pid: int
    parent_pid: int
    role: str
    argv: list[str]
    status: StatusFacts | None
    started: float
    unrecorded: int
    counts: Counts
    handlers: list[HandlerFacts]
    timeline: list[HandlerFacts]


class RunFacts(TypedDict):
    """As ExitResult; a program of which nothing was recorded has no processes."""

    id: str
    test: str | None
    command: str
    cwd: str
    state: str
    complete: bool
    status: StatusFacts | None
    ending: str | None
    reason: str | None
    duration: float | None
    exit_duration: float | None
    grace_used: float | None
    killed_after_grace: bool
    failures_allowed: bool
    left_running: list[int]
    processes: list[ProcessFacts]


def run_facts(
    *,
    key: str,
    test: str | None,
    command: str,
    cwd: str,
    status: ExitStatus | None,
    result: ExitResult | None,
    is_over: bool,
    failures_allowed: bool,
    complete: bool,
) -> RunFacts:
    """Returns a run as plain data.

    Args:
        key: tells it from all other runs of the session.
        test: the node id of the test that started it.
        command: a shell line that replays it.
        cwd: its working folder.
        status: how it ended; None while it runs, and where that can't be known.
        result: what was recorded, if it was.
        is_over: nothing more will be known of it.
        failures_allowed: the test accepts handlers that raised.
        complete: with all handlers, not only those that failed, didn't finish or were skipped.
    """
    records: list[ProcessRecord] = [result, *result.children] if result else []
    return RunFacts(
        id=key,
        test=test,
        command=command,
        cwd=cwd,
        state="recorded" if result else "not recorded" if is_over else "running",
        complete=complete,
        status=_status(status),
        ending=str(result.ending) if result and result.ending else None,
        reason=result.reason if result else None,
        duration=result.duration if result else None,
        exit_duration=result.exit_duration if result else None,
        grace_used=result.grace_used if result else None,
        killed_after_grace=bool(result and result.killed_after_grace),
        failures_allowed=failures_allowed,
        left_running=list(result.left_running) if result else [],
        processes=[_process(record, records[0].started, complete=complete) for record in records],
    )


def _status(status: ExitStatus | None) -> StatusFacts | None:
    if status is None:
        return None
    name = None if status.signal is None else signal_name(status.signal)
    return StatusFacts(code=status.code, signal=name, text=str(status))


def _process(record: ProcessRecord, epoch: float, *, complete: bool) -> ProcessFacts:
    handlers, timeline = record.handlers, record.timeline
    failed = [handler for handler in timeline if handler.state == "failed"]
    counts = Counts(
        registered=len(record.registered),
        ran=len(record.ran),
        failed=len(failed),
        unfinished=len(record.unfinished),
        skipped=len(record.skipped),
        unregistered=len(record.unregistered),
    )
    if not complete:
        handlers = [handler for handler in handlers if handler.state == "skipped" and is_named(handler)][:KEPT]
        timeline = [handler for handler in timeline if handler.state in ("failed", "unfinished")][:KEPT]
    return ProcessFacts(
        pid=record.pid,
        parent_pid=record.parent_pid,
        role=record.role,
        argv=list(record.argv),
        status=_status(getattr(record, "status", None)),
        started=record.started - epoch,
        unrecorded=record.unrecorded,
        counts=counts,
        handlers=[_handler(handler) for handler in handlers],
        timeline=[_handler(handler) for handler in timeline],
    )


def _handler(handler: Handler) -> HandlerFacts:
    return HandlerFacts(
        number=handler.number,
        name=handler.name,
        qualname=handler.qualname,
        module=handler.module,
        args=[repr(value) for value in handler.args],
        kwargs={key: repr(value) for key, value in handler.kwargs.items()},
        where=handler.where,
        origin=handler.origin,
        kind=handler.kind,
        state=handler.state,
        exception=_exception(handler.exception),
        started=handler.started,
        finished=handler.finished,
        thread=handler.thread,
        interpreter=handler.interpreter,
        inherited=handler.inherited,
        priority=handler.priority,
        phase=handler.phase,
        named=is_named(handler),
    )


def _exception(error: HandlerException | None) -> ExceptionFacts | None:
    if error is None:
        return None
    return ExceptionFacts(type=error.type, bases=list(error.bases), message=error.message, traceback=error.traceback)
