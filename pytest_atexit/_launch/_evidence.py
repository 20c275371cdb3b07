"""What a run's records tell of the end of each process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_atexit import _explain
from pytest_atexit._origin import shown_path
from pytest_atexit._why import Evidence, ending_of, reason_of

if TYPE_CHECKING:
    from pytest_atexit._events import LastCall
    from pytest_atexit._records import Recorded
    from pytest_atexit._result import ProcessRecord

# Where multiprocessing calls os._exit in what it has forked.
WORKER_ENDS = tuple(os.path.join("multiprocessing", name) for name in ("popen_fork.py", "forkserver.py"))
NO_WORK = ("thread", "unraisable")  # kinds of what happens at exit, and can't be skipped
FINISHES_INTERPRETERS = (3, 12)  # those that are left open
RUNS_HANDLERS = (3, 13)  # https://github.com/python/cpython/issues/83856


def evidence_of(recorded: Recorded, folders: list[str], make: Callable[..., Evidence], *, became: bool) -> Evidence:
    """Returns what is known of the end of a process.

    Args:
        recorded: its record.
        folders: paths below these are shown relative to them.
        make: makes it of that, with what else is known.
        became: it was replaced by another recorded program.
    """
    last, calls = recorded.life.left_by, recorded.life.calls
    # Fields and no properties or functions, for there may be thousands of handlers, and each run waits for this.
    exit_calls = [
        call for call in recorded.exit_calls if (made := call.registration) is None or made.event.kind not in NO_WORK
    ]
    first = min(
        (each.started for each in exit_calls if (made := each.registration) and made.event.kind == "atexit"),
        default=None,
    )
    skipped = [each for each in recorded.registrations if not each.calls and not each.removed]
    cut_off = any(call.finished is None and not call.exception for call in calls)
    return make(
        handlers=[each for each in recorded.registrations if each.event.kind not in NO_WORK],
        called=exit_calls,
        unfinished=_explain.unfinished(recorded.record) if cut_off else (),
        too_late=first is not None and all(first < each.event.time and not each.inherited for each in skipped),
        uncaught=next((call.uncaught for call in reversed(calls) if call.in_exit), None),
        last_call=replace(last, file=shown_path(last.file, folders)) if last else None,
        worker=_worker(recorded, last) if last else "",
        became=became,
        left_open=_is_left_open(recorded),
    )


def _is_left_open(recorded: Recorded) -> bool:
    """Whether all that was skipped or cut off is of sub-interpreters that this version doesn't bring to their end."""
    own = recorded.life.registrations
    if len(own) == len(recorded.registrations) or recorded.python >= FINISHES_INTERPRETERS:
        return False
    return all(each.state not in ("skipped", "unfinished") for each in own.values())


def _worker(recorded: Recorded, last: LastCall) -> str:
    """Why handlers don't run in what multiprocessing has forked and ended; nothing if it is none."""
    ends = [os.path.join(recorded.stdlib, file) for file in WORKER_ENDS]
    if recorded.record.role != "multiprocessing" or last.file not in ends:
        return ""
    skipped = [each for each in recorded.registrations if each.state == "skipped"]
    if all(each.inherited for each in skipped):
        return "multiprocessing ends what it has forked by os._exit: handlers that were registered before never run"
    if recorded.python < RUNS_HANDLERS:
        return "multiprocessing ends what it has forked by os._exit: up to Python 3.12 no handlers run there"
    return ""


def explained(
    recorded: Sequence[Recorded], left: Sequence[int], killed: Mapping[int, str], folders: list[str]
) -> list[ProcessRecord]:
    """Returns the records with ending and reason, as far as the records alone tell them.

    Args:
        recorded: of all processes in start order.
        left: pids of those that still run.
        killed: by the pids of those that had to be killed, when or why, in words.
        folders: paths below these are shown relative to them.
    """
    last = {each.record.pid: each for each in recorded}  # of those that one process has been
    made = []
    for each in recorded:
        became = each is not last[each.record.pid]
        running = each.record.pid in left and not became
        status = None if became or running else each.record.status
        by_test = "" if became else killed.get(each.record.pid, "")
        make = partial(Evidence, status=status, still_running=running, killed=by_test)
        evidence = evidence_of(each, folders, make, became=became)
        ending, reason = ending_of(evidence), reason_of(evidence)
        made.append(replace(each.record, ending=ending, reason=reason, still_running=running))
    return made
