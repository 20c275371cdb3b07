"""What a thread waits for, told by the functions of the standard library in which its stack ends.

The names of these functions are those of Python 3.10 to 3.15; tests/child/test_hanging.py holds the table against real
programs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

StackFrame = tuple[str, int, str]  # file, line, function


class Wait(NamedTuple):
    """What is waited for.

    Attributes:
        calls: functions of the standard library, "FILE:FUNCTION", each called by the next one.
        what: in words, behind "waits for".
        by: who could bring it about: other threads of the process, its child processes, or nobody in particular.
    """

    calls: str
    what: str
    by: Literal["threads", "children", ""] = ""


SHUTDOWN = "threading.py:_shutdown"
EXIT_WORK = (SHUTDOWN, "multiprocessing/util.py:_exit_function", "weakref.py:_exitfunc")  # called at exit only

# The first one that is found counts: what says more comes before what it is made of.
WAITS = (
    Wait("concurrent/futures/thread.py:_python_exit", "the tasks of a ThreadPoolExecutor to end", "threads"),
    Wait("concurrent/futures/process.py:_python_exit", "the tasks of a ProcessPoolExecutor to end", "children"),
    Wait("concurrent/futures/thread.py:shutdown", "the tasks of a ThreadPoolExecutor to end", "threads"),
    Wait("concurrent/futures/process.py:shutdown", "the tasks of a ProcessPoolExecutor to end", "children"),
    Wait("concurrent/futures/_base.py:result", "the result of a future"),
    Wait("concurrent/futures/_base.py:exception", "the result of a future"),
    Wait("concurrent/futures/_base.py:wait", "the result of futures"),
    Wait(
        "multiprocessing/queues.py:_finalize_join",
        "the feeder thread of a multiprocessing queue, which ends when all that was put into the queue has been read",
        "threads",
    ),
    Wait("multiprocessing/queues.py:join", "each item of a multiprocessing queue to be marked by task_done()"),
    Wait("multiprocessing/queues.py:get", "an item in a multiprocessing queue"),
    Wait("multiprocessing/queues.py:put", "room in a multiprocessing queue"),
    Wait("multiprocessing/pool.py:join", "the workers of a multiprocessing pool to end", "children"),
    Wait("multiprocessing/pool.py:get", "the result of a multiprocessing pool", "children"),
    Wait(
        "multiprocessing/process.py:join multiprocessing/util.py:_exit_function",
        "multiprocessing processes that are no daemons to end",
        "children",
    ),
    Wait("multiprocessing/process.py:join", "a multiprocessing process to end", "children"),
    Wait("multiprocessing/synchronize.py:wait", "a multiprocessing Event to be set or a Condition to be notified"),
    Wait("multiprocessing/connection.py:_recv", "data from a multiprocessing pipe"),
    Wait("multiprocessing/connection.py:_send", "room in a multiprocessing pipe"),
    Wait("queue.py:join", "each item of a queue.Queue to be marked by task_done()"),
    Wait("queue.py:get", "an item in a queue.Queue"),
    Wait("queue.py:put", "room in a queue.Queue"),
    Wait("subprocess.py:_wait", "a child process to end", "children"),
    Wait("subprocess.py:communicate", "a child process to end or to close its output", "children"),
    Wait("asyncio/runners.py:close", "the tasks and executor threads of asyncio.run to end", "threads"),
    Wait("asyncio/base_events.py:_run_once", "what runs in an asyncio event loop", "threads"),
    Wait("logging/__init__.py:acquire", "the lock of a logging handler", "threads"),
    Wait(SHUTDOWN, "a thread that is no daemon to end", "threads"),
    Wait("threading.py:join", "a thread to end", "threads"),
    Wait("threading.py:start", "a new thread to begin"),
    Wait("threading.py:acquire", "a semaphore or lock of threading"),
    Wait("threading.py:wait", "a threading.Event to be set or a Condition to be notified"),
)


def wait_of(frames: Sequence[StackFrame], stdlib: str) -> Wait | None:
    """Returns what a thread waits for, or None where the standard library doesn't tell.

    Args:
        frames: of its stack, the innermost first.
        stdlib: the folder of its standard library.
    """
    calls = []
    for frame in frames:
        if (call := library_call(frame, stdlib)) is None:
            break
        calls.append(call)
    chain = f" {' '.join(calls)} "
    return next((wait for wait in WAITS if f" {wait.calls} " in chain), None)


def library_call(frame: StackFrame, stdlib: str) -> str | None:
    """Returns "FILE:FUNCTION" if it is the standard library's, else None."""
    file, _, function = frame
    if file.startswith(("<frozen ", "<builtin>")):  # CPython's runpy, say, and what PyPy has in Python
        return f"{file}:{function}"
    if not stdlib or not file.startswith(stdlib + os.sep) or f"{os.sep}site-packages{os.sep}" in file:
        return None
    return f"{file[len(stdlib) + 1 :].replace(os.sep, '/')}:{function.replace(' ', '')}"
