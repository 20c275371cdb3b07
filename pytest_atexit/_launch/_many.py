"""Runs of one program under several endings, as many at a time as there are cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from pytest_atexit import _explain
from pytest_atexit._ending import Ending, as_ending, source_of
from pytest_atexit._errors import LaunchError, PytestAtexitError, RunError
from pytest_atexit._matrix import ExitMatrix

if TYPE_CHECKING:
    from pytest_atexit._result import ExitResult


# These start another interpreter, or import ctypes.
LONG = Ending.EXEC, Ending.FATAL_ERROR, Ending.SEGFAULT


def distinct_endings(endings: Iterable[object]) -> list[Ending]:
    """Returns the endings that are meant, in their order.

    Raises:
        LaunchError: there are none, one is unknown or can't be had on this platform, or one is there twice.
    """
    if isinstance(endings, (str, int)):
        msg = f"endings is a list, such as [{endings!r}]"
        raise LaunchError(msg)
    wanted = [as_ending(ending) for ending in endings]
    if not wanted:
        msg = "endings is empty: nothing would be run"
        raise LaunchError(msg)
    for ending in wanted:
        source_of(ending)
    if twice := [str(ending) for ending in dict.fromkeys(wanted) if wanted.count(ending) > 1]:
        msg = f"each ending is run once, and endings has {_explain.listed(map(repr, twice))} more than once"
        raise LaunchError(msg)
    return wanted


def longest_first(endings: Iterable[Ending]) -> list[Ending]:
    """Returns endings in an order in which none that takes long is begun last, and waited for alone."""
    return sorted(endings, key=lambda ending: ending not in LONG)


def check_shared(stdin: object) -> None:
    """Raise a LaunchError for an open file, of which each program would read what the others leave."""
    if not isinstance(stdin, (str, bytes, bytearray, type(None))):
        msg = f"several programs can't read one open file to its end: pass its content as stdin, not {stdin!r}"
        raise LaunchError(msg)


def wait_for_all(
    calls: Iterable[tuple[Ending, Callable[[], ExitResult]]], endings: Sequence[Ending], interrupt: Callable[[], object]
) -> ExitMatrix:
    """Returns what all calls return; they are made in threads, which are over then.

    Args:
        calls: with the ending of each, in the order in which they are begun: as soon as they come.
        endings: of all of them, in the order of the matrix.
        interrupt: lets all calls in progress end; called when this one is interrupted, by Ctrl-C for example.

    Raises:
        PytestAtexitError: one for all that were raised. That of a run of which something isn't known comes first.
    """
    __tracebackhide__ = True
    with ThreadPoolExecutor(min(len(endings), _cores()), "pytest-atexit matrix") as pool:
        futures: dict[Ending, Future[ExitResult]] = {}
        try:
            for ending, call in calls:
                futures[ending] = pool.submit(call)
            wait(futures.values())
        except BaseException:
            for future in futures.values():
                future.cancel()
            interrupt()
            raise
    errors = {ending: error for ending in endings if (error := futures[ending].exception())}
    results = {ending: result for ending in endings if (result := _result_of(futures[ending]))}
    if errors:
        raise _one_of(errors, results, len(endings)) from None
    return ExitMatrix(results)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _result_of(future: Future[ExitResult]) -> ExitResult | None:
    error = future.exception()
    return future.result() if error is None else getattr(error, "result", None)


def _one_of(errors: Mapping[Ending, BaseException], results: Mapping[Ending, ExitResult], count: int) -> BaseException:
    """Returns one error that tells of all."""
    grave = [*(e for e, error in errors.items() if not isinstance(error, AssertionError)), *errors]
    first = errors[grave[0]]
    if not isinstance(first, PytestAtexitError):
        return first
    lines = [f"{len(errors)} of {_explain.plural(count, 'ending')} failed, {grave[0]} like this:", str(first)]
    for ending, error in errors.items():
        if error is not first:
            lines += ["", f"{ending}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"]
    if results:
        lines += ["", str(ExitMatrix(results))]
    text = "\n".join(lines)
    with contextlib.suppress(TypeError):
        return type(first)(text, first.result) if isinstance(first, RunError) else type(first)(text)
    return first
