"""The table of what is waited for, held against threads that wait in each of these ways."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from interpreters import others

from pytest_atexit import CapExit
from pytest_atexit._launch import _stacks
from pytest_atexit._launch._process import Process
from pytest_atexit._launch._waits import WAITS, wait_of

# Threads that wait for ever, each in another function of the standard library.
PROGRAM = """
import asyncio, concurrent.futures, faulthandler, logging, multiprocessing, queue, signal, subprocess, threading, time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

def idle(): time.sleep(60)

async def use_executor(): asyncio.get_running_loop().run_in_executor(None, idle)

def child(): return subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE)

if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    context = multiprocessing.get_context("spawn")
    threads, processes = ThreadPoolExecutor(), ProcessPoolExecutor(1, mp_context=context)
    threads.submit(idle), processes.submit(idle)
    pool, closed, worker = context.Pool(1), context.Pool(1), context.Process(target=idle)
    worker.start()
    closed.apply_async(idle)
    closed.close()
    (empty, _), (_, stuck) = ends = context.Pipe(), context.Pipe()
    full, jobs, items = queue.Queue(1), queue.Queue(), context.JoinableQueue(1)
    full.put(1), jobs.put(1), items.put(1)
    handler = logging.StreamHandler()
    handler.lock = threading.Lock()
    handler.lock.acquire()
    for wait in (
        threads.shutdown, processes.shutdown, Future().result, Future().exception,
        lambda: concurrent.futures.wait([Future()]), items.join, context.Queue().get, lambda: items.put(2), closed.join,
        pool.apply_async(idle).get, worker.join, context.Event().wait, empty.recv,
        lambda: stuck.send_bytes(b"x" * 10000000), jobs.join, queue.Queue().get, lambda: full.put(2), child().wait,
        child().communicate, lambda: asyncio.run(use_executor()), asyncio.new_event_loop().run_forever, handler.acquire,
        threading.Semaphore(0).acquire, threading.main_thread().join, threading.Event().wait,
    ):
        threading.Thread(target=wait, daemon=True).start()
    print("started", flush=True)
    idle()
"""
# What only the interpreter does at its exit: tests/child/test_hanging.py. A new thread keeps nobody waiting but in a
# teardown of Python 3.10 and 3.11.
AT_EXIT = ("_python_exit", "_finalize_join", "_exit_function", "threading.py:_shutdown", "threading.py:start")


@pytest.fixture(autouse=True)
def _asked_more_than_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a signal that doesn't end the program."""
    monkeypatch.setattr(_stacks, "STACKS_SIGNAL", signal.SIGUSR2)


def all_sleep(pid: int) -> bool:
    """Whether all threads of a process wait: faulthandler may crash one in which another thread goes on meanwhile."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


def check(capexit: CapExit, python: str | None, version: tuple[int, ...]) -> None:
    """Ask for the stacks until each way to wait has been seen."""
    started = capexit.start(PROGRAM, python=python)
    expected = {wait.calls for wait in WAITS if not any(part in wait.calls for part in AT_EXIT)}
    if version < (3, 11):
        expected.remove("asyncio/runners.py:close")  # asyncio.run does it all by itself

    def all_are_seen() -> bool:
        if not all_sleep(started.pid):
            return False
        run, process = started._run, Process.of(started.pid)
        records = run.records()
        threads = _stacks.stacks_of([process], run.output).get(started.pid, []) if process and records else []
        waits = [wait_of(thread.frames, records[0].stdlib) for thread in threads]
        return expected <= {wait.calls for wait in waits if wait}

    started.wait_for_output("started")
    started.wait_for(all_are_seen)


def test_each_way_to_wait_is_told_by_the_stack(capexit: CapExit) -> None:
    """By the functions that the standard library waits in."""
    check(capexit, None, sys.version_info[:2])


@pytest.mark.slow
@pytest.mark.parametrize("version", others())
def test_each_way_of_other_versions(capexit: CapExit, version: str) -> None:
    """They have the same names there."""
    check(capexit, others()[version], tuple(map(int, version.split("."))))
