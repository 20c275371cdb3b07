"""Programs that hang at their exit, each in another way: the message begins with what hangs, and with whose stack."""

from __future__ import annotations

import re
import signal
import sys
from typing import NamedTuple

import pytest
from interpreters import others

from pytest_atexit import CapExit, Ending, ProgramTimeout

LIMIT = 0.5  # seconds, from where the program says that it comes to its end


class Hanging(NamedTuple):
    """A program that says "ready" when nothing but the hang is left, how the message begins, and a line of the first stack."""

    program: str
    begins: str
    stack: str


NAME = r"thread 0x\w+(?: \[.*\])?"
PROGRAMS = {
    "a handler that joins a thread which waits for the handler's lock": Hanging(
        """
        import atexit, threading
        LOCK, closing = threading.Lock(), threading.Event()
        def work():
            closing.wait()
            with LOCK:
                pass
        worker = threading.Thread(target=work, name="worker", daemon=True)
        worker.start()
        @atexit.register
        def close():
            with LOCK:
                closing.set()
                worker.join()
        print("ready", flush=True)
        """,
        rf"""
        process \d+ \(main\): the handler close\(\) did not return; it was registered at program.py:\d+
          it was in close \(program.py:14\): worker.join\(\)
          it waits for a thread to end: {NAME} in work \(program.py:6\): with LOCK:
        """,
        "worker.join()",
    ),
    "a thread that is no daemon": Hanging(
        """
        import threading
        def work():
            threading.Event().wait()
        threading.Thread(target=work, name="worker").start()
        print("ready", flush=True)
        """,
        rf"""
        process \d+ \(main\): the program is over, but the interpreter waits for thread worker: {NAME} in work \(program.py:4\): threading.Event\(\).wait\(\)
        """,
        "threading.Event().wait()",
    ),
    "a task of a thread pool": Hanging(
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        def task():
            print("ready", flush=True)
            threading.Event().wait()
        ThreadPoolExecutor().submit(task)
        """,
        rf"""
        process \d+ \(main\): the program is over, but the interpreter waits for the tasks of a ThreadPoolExecutor to end: {NAME} in task \(program.py:6\): threading.Event\(\).wait\(\)
        """,
        "threading.Event().wait()",
    ),
    "a task of a process pool": Hanging(
        """
        import time
        from concurrent.futures import ProcessPoolExecutor
        def task():
            print("ready", flush=True)
            time.sleep(600)
        if __name__ == "__main__":
            ProcessPoolExecutor(1).submit(task)
        """,
        r"""
        process \d+ \(main\): the program is over, but the interpreter waits for the tasks of a ProcessPoolExecutor to end: process (?P<child>\d+) \(multiprocessing\)
        process (?P=child) \(multiprocessing\): it was still running: its main thread was in task \(program.py:6\): time.sleep\(600\)
        """,
        "time.sleep(600)",
    ),
    "a multiprocessing queue that nobody reads": Hanging(
        """
        import multiprocessing
        queue = multiprocessing.Queue()
        queue.put("x" * 1000000)
        print("ready", flush=True)
        """,
        rf"""
        process \d+ \(main\): the program is over, but the interpreter waits for the feeder thread of a multiprocessing queue, which ends when all that was put into the queue has been read: {NAME} in _feed \(.*multiprocessing/queues.py:\d+\).*
        """,
        "send_bytes(obj)",
    ),
    "a multiprocessing child": Hanging(
        """
        import multiprocessing, time
        def task():
            print("ready", flush=True)
            time.sleep(600)
        if __name__ == "__main__":
            multiprocessing.Process(target=task).start()
        """,
        r"""
        process \d+ \(main\): the handler _exit_function\(\) did not return; it was registered at .*multiprocessing/util.py:\d+
          it waits for multiprocessing processes that are no daemons to end: process (?P<child>\d+) \(multiprocessing\)
        process (?P=child) \(multiprocessing\): it was still running: its main thread was in task \(program.py:5\): time.sleep\(600\)
        """,
        "time.sleep(600)",
    ),
    "a thread of a multiprocessing child": Hanging(
        """
        import multiprocessing, threading
        def block():
            print("ready", flush=True)
            threading.Event().wait()
        def task():
            threading.Thread(target=block).start()
        if __name__ == "__main__":
            multiprocessing.set_start_method("fork")
            child = multiprocessing.Process(target=task)
            child.start()
            child.join()
        """,
        rf"""
        process \d+ \(main\): the program was still running: its main thread was in <module> \(program.py:12\): child.join\(\)
          it waits for a multiprocessing process to end: process (?P<child>\d+) \(multiprocessing\)
        process (?P=child) \(multiprocessing\): it is over, but the interpreter waits for thread Thread-1( \(block\))?: {NAME} in block \(program.py:5\): threading.Event\(\).wait\(\)
        """,
        "threading.Event().wait()",
    ),
    "a queue whose items nobody marks": Hanging(
        """
        import atexit, queue
        jobs = queue.Queue()
        jobs.put(1)
        @atexit.register
        def drain():
            jobs.join()
        print("ready", flush=True)
        """,
        r"""
        process \d+ \(main\): the handler drain\(\) did not return; it was registered at program.py:\d+
          it was in drain \(program.py:7\): jobs.join\(\)
          it waits for each item of a queue.Queue to be marked by task_done\(\)
        """,
        "jobs.join()",
    ),
    "the lock of a logging handler": Hanging(
        """
        import logging, threading
        handler, held = logging.StreamHandler(), threading.Event()
        def hold():
            with handler.lock:
                held.set()
                threading.Event().wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        print("ready", flush=True)
        """,
        rf"""
        process \d+ \(main\): the handler shutdown\(\) did not return; it was registered at .*logging/__init__.py:\d+
          it waits for the lock of a logging handler: {NAME} in hold \(program.py:7\): threading.Event\(\).wait\(\)
        """,
        "h.acquire()",
    ),
    "a child that is no Python": Hanging(
        """
        import atexit, subprocess
        child = subprocess.Popen(["sleep", "600"])
        @atexit.register
        def stop():
            child.wait()
        print("ready", flush=True)
        """,
        r"""
        process \d+ \(main\): the handler stop\(\) did not return; it was registered at program.py:\d+
          it was in stop \(program.py:6\): child.wait\(\)
          it waits for a child process to end: process \d+ \(sleep 600\)
        """,
        "child.wait()",
    ),
    "the loop of a thread": Hanging(
        """
        import asyncio, atexit, threading
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        @atexit.register
        def stop():
            thread.join()
        print("ready", flush=True)
        """,
        rf"""
        process \d+ \(main\): the handler stop\(\) did not return; it was registered at program.py:\d+
          it was in stop \(program.py:8\): thread.join\(\)
          it waits for a thread to end: {NAME} in run_forever \(.*asyncio/base_events.py:\d+\).*
        """,
        "thread.join()",
    ),
    "the executor of an asyncio loop": Hanging(
        """
        import asyncio, threading
        def task():
            print("ready", flush=True)
            threading.Event().wait()
        async def main():
            asyncio.get_running_loop().run_in_executor(None, task)
        asyncio.run(main())
        """,
        rf"""
        process \d+ \(main\): the program was still running: its main thread was in <module> \(program.py:8\): asyncio.run\(main\(\)\)
          it waits for .* asyncio.*: one or more of {NAME} in task \(program.py:5\): threading.Event\(\).wait\(\) and {NAME} in .*
        """,
        "threading.Event().wait()",
    ),
    "a finalizer that waits for an event": Hanging(
        """
        import threading, weakref
        class Thing:
            pass
        def block():
            threading.Event().wait()
        thing = Thing()
        weakref.finalize(thing, block)
        print("ready", flush=True)
        """,
        r"""
        process \d+ \(main\): the finalizer block\(\) did not return; it was registered at .*
          it was in block \(program.py:6\): threading.Event\(\).wait\(\)
          it waits for a threading.Event to be set or a Condition to be notified
        """,
        "threading.Event().wait()",
    ),
    "a __del__ when modules are torn down": Hanging(
        """
        import time
        class Thing:
            def __del__(self, sleep=time.sleep):
                sleep(600)
        thing = Thing()
        print("ready", flush=True)
        """,
        r"""
        process \d+ \(main\): the program is over, but its main thread was in __del__ \(program.py:5\): sleep\(600\)
        """,
        "sleep(600)",
    ),
    "a stack that is too deep to be shown as a whole": Hanging(
        """
        import time
        class Thing:
            def __del__(self, sleep=time.sleep):
                self.descend(150, sleep)
            def descend(self, levels, sleep):
                self.descend(levels - 1, sleep) if levels else sleep(600)
        thing = Thing()
        print("ready", flush=True)
        """,
        r"""
        process \d+ \(main\): it did not end: its main thread was in descend \(program.py:7\): .*
        """,
        "self.descend(levels - 1, sleep) if levels else sleep(600)",
    ),
    "a signal handler that needs the lock of what it interrupts": Hanging(
        """
        import os, signal, sys, threading
        LOCK = threading.Lock()
        def on_term(signum, frame):
            print("ready", flush=True)
            with LOCK:
                sys.exit(0)
        signal.signal(signal.SIGTERM, on_term)
        with LOCK:
            os.kill(os.getpid(), signal.SIGTERM)
            sum(range(1000))
        """,
        r"""
        process \d+ \(main\): the program was still running: its main thread was in on_term \(program.py:6\): with LOCK:
        """,
        "with LOCK:",
    ),
    "a lock that was held at a fork": Hanging(
        """
        import atexit, os, threading
        LOCK = threading.Lock()
        def close():
            with LOCK:
                pass
        atexit.register(close)
        LOCK.acquire()
        if child := os.fork():
            LOCK.release()
            os.waitpid(child, 0)
        print("ready", flush=True)
        """,
        r"""
        process \d+ \(main\): the program was still running: its main thread was in <module> \(program.py:11\): os.waitpid\(child, 0\)
        process \d+ \(fork\): the handler close\(\) did not return; it was registered at program.py:\d+
          it was in close \(program.py:5\): with LOCK:
        """,
        "os.waitpid(child, 0)",
    ),
}


def check(capexit: CapExit, hanging: Hanging, python: str | None = None, *, is_exact: bool = True) -> None:
    """Run a program into its hang, and compare the beginning of the message; of PyPy without lines."""
    program = capexit.start(hanging.program, python=python)
    program.wait_for_output("ready")
    with pytest.raises(ProgramTimeout) as caught:
        program.wait(timeout=LIMIT)
    first, *lines, last = str(caught.value).splitlines()
    assert first == f"the program was still running after {LIMIT:g} s and was killed"
    assert last == "For a higher limit: timeout=, or atexit_timeout in pytest's ini file."
    expected = "".join(f"{line.strip()}\n" for line in hanging.begins.strip().splitlines())
    if not is_exact:
        expected = re.sub(r"(?m)program\.py:\S+?(\\\)|$)(: .*?)?(?=( and .*)?$)", r"program.py:\\d+\1", expected)
    found = "\n".join(line.strip() for line in lines)
    assert re.match(expected, found), found
    assert hanging.stack in first_stack(lines) or not is_exact
    assert all(line.startswith("ready") for line in program.stdout.splitlines())
    assert program.stderr == ""


def test_a_timeout_wakes_nobody(capexit: CapExit) -> None:
    """What waits in a call that any signal ends does not go on when it is asked for its stacks: it is killed there."""
    program = capexit.start(
        """
        import atexit, os, signal
        atexit.register(print, "went on")
        os.fork()
        os.write(1, b"ready\\n")
        signal.pause()
        """
    )
    program.wait_for_output("ready\\nready\\n")
    with pytest.raises(ProgramTimeout, match=r"in <module> \(program.py:\d\)") as caught:
        program.wait(timeout=0)
    result = caught.value.result
    assert (result.status.signal, result.ending, result.stdout) == (signal.SIGKILL, Ending.SIGKILL, "ready\nready\n")
    assert [each.skipped for each in (result, *result.children)] == [["print"], ["print"]]


def first_stack(lines: list[str]) -> list[str]:
    """The lines of the first thread that is shown, but for its title."""
    start = next(index for index, line in enumerate(lines) if re.match(r" +(main )?thread .*:$", line))
    rest = [line.strip() for line in lines[start + 1 :]]
    end = next((i for i, line in enumerate(rest) if re.match(r"(main )?thread |stacks of ", line)), len(rest))
    assert end > 0, lines
    return rest[:end]


IS_PYPY = sys.implementation.name == "pypy"
EACH = pytest.mark.parametrize("hanging", [pytest.param(each, id=name) for name, each in PROGRAMS.items()])


@EACH
def test_what_hangs_is_named_first(capexit: CapExit, hanging: Hanging) -> None:
    """Handler, thread or process, where it stands, and what it waits for; then its stack."""
    if IS_PYPY and "__del__" in hanging.program:
        pytest.skip("PyPy tears no modules down")
    check(capexit, hanging, is_exact=not IS_PYPY)


@pytest.mark.slow
@pytest.mark.parametrize("python", [pytest.param(path, id=version) for version, path in others().items()])
@EACH
def test_it_is_on_other_interpreters(capexit: CapExit, hanging: Hanging, python: str) -> None:
    """Their standard libraries wait in functions of the same names."""
    check(capexit, hanging, python)
