"""Why handlers stayed out or were cut off, in real programs that end in one way each."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from interpreters import others

from pytest_atexit import CapExit, Ending, ExitResult, ProgramTimeout, RunningProgram

Recorded = Callable[..., ExitResult]
IN_MAIN_CODE = """
import atexit, os, signal, sys, threading

@atexit.register
def never(): pass

DEED
"""
IN_A_HANDLER = """
import atexit, os, signal, sys, threading

@atexit.register
def never(): pass

@atexit.register
def close(): DEED
"""

# What a program does, how that ends, and why `never` doesn't run: done in main code, and done in the handler `close`.
DEEDS = {
    "a signal": (
        "os.kill(os.getpid(), signal.SIGTERM)",
        Ending.SIGTERM,
        "SIGTERM had its default action: no signal handler was installed",
        "SIGTERM came while the handler close was running and had its default action: no signal handler was installed",
    ),
    "SIGKILL": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        Ending.SIGKILL,
        "SIGKILL ended it at once: no program can handle that",
        "SIGKILL came while the handler close was running: no program can handle that",
    ),
    "os._exit": (
        "os._exit(7)",
        Ending.OS_EXIT,
        "os._exit(7) was called at program.py:7: it ends the process without handlers",
        "os._exit(7) was called at program.py:8 while the handler close was running: it ends the process without handlers",
    ),
    "exec": (
        "os.execv(sys.executable, [sys.executable, '-c', ''])",
        Ending.EXEC,
        "os.execv replaced the program at program.py:7: handlers don't survive that",
        "os.execv replaced the program at program.py:8 while the handler close was running: handlers don't survive that",
    ),
    "abort": (
        "os.abort()",
        Ending.ABORT,
        "SIGABRT: os.abort() or a C library's abort",
        "SIGABRT came while the handler close was running: os.abort() or a C library's abort",
    ),
    "a segmentation fault": (
        "os.kill(os.getpid(), signal.SIGSEGV)",
        Ending.SEGFAULT,
        "SIGSEGV: the process crashed",
        "SIGSEGV came while the handler close was running: the process crashed",
    ),
    "a fatal error": (
        "__import__('ctypes').pythonapi.Py_FatalError(b'out of luck')",
        Ending.FATAL_ERROR,
        "a fatal error of the interpreter: out of luck",
        "a fatal error of the interpreter while the handler close was running: out of luck",
    ),
    "C code": (
        "__import__('ctypes').CDLL(None)._exit(3)",
        None,
        "unknown",
        "the process ended with exit code 3 while the handler close was running, and not by os._exit: C code ended it",
    ),
}
CASES = [pytest.param(*deed, id=name) for name, deed in DEEDS.items()]
if sys.implementation.name == "pypy":
    CASES = [case for case in CASES if case.id != "a fatal error"]  # it has no ctypes.pythonapi


@pytest.mark.parametrize(("deed", "ending", "reason", "reason_in_a_handler"), CASES)
def test_each_end_has_its_reason(
    recorded: Recorded, deed: str, ending: Ending | None, reason: str, reason_in_a_handler: str
) -> None:
    """In main code no handler runs; in a handler that one doesn't return, and is named."""
    result = recorded(IN_MAIN_CODE.replace("DEED", deed))
    assert (result.skipped, result.ending, result.reason) == (["never"], ending, reason)
    result = recorded(IN_A_HANDLER.replace("DEED", deed))
    assert (result.skipped, result.unfinished) == (["never"], ["close"])
    assert (result.ending, result.reason) == (ending, reason_in_a_handler)


def test_os_exit_in_a_thread(recorded: Recorded) -> None:
    """Its name and the place are told, and that the code was given by keyword changes nothing."""
    program = """
    import atexit, os, threading
    atexit.register(print)
    def work():
        os._exit(status=3)
    threading.Thread(target=work, name="worker").start()
    threading.Event().wait()
    """
    reason = "os._exit() was called at program.py:5 in thread worker: it ends the process without handlers"
    assert recorded(program).reason == reason


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (
            "atexit.register(os._exit, 3)",
            "os._exit(3) was called as the handler _exit, registered at program.py:4: it ends the process without handlers",
        ),
        (
            "atexit.register(os.execv, sys.executable, [sys.executable, '-c', ''])",
            "os.execv replaced the program as the handler execv, registered at program.py:4: handlers don't survive that",
        ),
        (
            "_thread.start_new_thread(os._exit, (3,)) and threading.Event().wait()",
            "os._exit(3) was called from C code in thread ID: it ends the process without handlers",
        ),
    ],
)
def test_what_no_line_of_python_has_called(recorded: Recorded, deed: str, reason: str) -> None:
    """The interpreter calls it by itself: there is no place of the call, but one of the registration."""
    result = recorded(f"""
    import atexit, os, sys, threading, _thread
    atexit.register(print)
    {deed}
    """)
    assert result.skipped == ["print"]
    assert result.reason is not None
    assert re.sub(r"in thread \d+", "in thread ID", result.reason) == reason


def test_a_second_signal_during_a_handler(capexit: CapExit) -> None:
    """The first one is handled and lets handlers run; the second one has its default action by then."""
    program = """
    import atexit, signal, sys, threading

    @atexit.register
    def never(): pass

    @atexit.register
    def slow():
        print("slow", flush=True)
        threading.Event().wait()

    def on_term(*_):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.exit()

    signal.signal(signal.SIGTERM, on_term)
    print("ready", flush=True)
    threading.Event().wait()
    """
    started = capexit.start(program)
    started.wait_for_output("ready")
    started.terminate()
    started.wait_for_output("slow")
    result = started.stop()
    assert (result.unfinished, result.skipped, result.ending) == (["slow"], ["never"], Ending.SIGTERM)
    assert result.reason == (
        "SIGTERM came while the handler slow was running and had its default action: no signal handler was installed"
    )


def test_what_outlives_grace_or_timeout(capexit: CapExit) -> None:
    """The reason names the handler that hung, or what else the program waited for."""
    hung = "the handler close() did not return; it was registered at program.py:"
    program = """
    import atexit, threading
    @atexit.register
    def close():
        print("closing", flush=True)
        threading.Event().wait()
    """
    started = capexit.start(program)
    started.wait_for_output("closing")
    # What SIGCONT does to a process that isn't stopped is nothing.
    result = started.stop(signal.SIGCONT, grace=0.1)
    assert result.reason.startswith(f"SIGKILL ended it, for it was still running 0.1 s after SIGCONT: {hung}")

    started = capexit.start(program)
    started.wait_for_output("closing")
    with pytest.raises(ProgramTimeout) as caught:
        started.wait(timeout=0.1)
    result = caught.value.result
    assert result.reason.startswith(f"it was killed, for it was still running after 0.1 s: {hung}")


WAITING = """
import atexit, threading

@atexit.register
def close(): pass

threading.Thread(target=threading.Event().wait, args=(30,), name="worker").start()
"""


def test_what_ends_the_wait_for_a_thread(capexit: CapExit) -> None:
    """The thread is named. An interrupt ends the wait only, so handlers run and nothing needs a reason."""

    def waiting() -> RunningProgram:
        started = capexit.start(WAITING)
        started.wait_for(lambda: any(c.kind == "thread" for r in started._run.records() for c in r.record.timeline))
        return started

    assert waiting().stop().reason == (
        "SIGTERM came while the interpreter waited for thread worker and had its default action: "
        "no signal handler was installed"
    )
    assert waiting().stop(signal.SIGCONT, grace=0.1).reason == (
        "SIGKILL ended it, for it was still running 0.1 s after SIGCONT: the interpreter waited for thread worker"
    )
    result = waiting().stop("SIGINT", allow_failures=True)
    assert (result.ran, result.reason) == (["close"], None)


KILLED = """
import atexit, multiprocessing, time

def sleep():
    print("ready", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    atexit.register(print)
    multiprocessing.get_context("fork").Process(target=sleep).start()
    time.sleep(600)
"""


def test_what_the_test_itself_had_killed(capexit: CapExit) -> None:
    """All that still ran is killed when a block is left, after a timeout and after a grace: nobody else was it."""
    with capexit.start(KILLED) as program:
        program.wait_for_output("ready")
    result = program.wait()
    assert [each.reason for each in (result, *result.children)] == ["it was killed when its `with` block was left"] * 2
    program = capexit.start(KILLED)
    program.wait_for_output("ready")
    with pytest.raises(ProgramTimeout) as caught:
        program.wait(timeout=0.1)
    assert caught.value.result is not None
    (worker,) = caught.value.result.children
    assert worker.reason == "it was killed as the program was still running after 0.1 s"
    program = capexit.start(KILLED)
    program.wait_for_output("ready")
    (worker,) = program.stop("SIGCONT", grace=0.1).children
    assert worker.reason == "it was killed as the program was still running 0.1 s after SIGCONT"


def test_what_was_killed_by_others_before_the_block_was_left(capexit: CapExit) -> None:
    """That is no deed of the block's."""
    with capexit.start("import atexit, os; atexit.register(print); os.kill(os.getpid(), 9)") as program:
        program.wait_for(lambda: " ended: " in repr(program))
    assert program.wait().reason == "SIGKILL ended it at once: no program can handle that"


def test_a_handler_that_came_too_late(recorded: Recorded) -> None:
    """What handlers register never runs."""
    result = recorded("import atexit\n@atexit.register\ndef close():\n    atexit.register(print)")
    assert (result.ran, result.skipped) == (["close"], ["print"])
    assert result.reason == "they were registered while handlers were already running, which is too late"


WORKER = """
import atexit, multiprocessing, sys

def inherited(): pass

def own(): print("own", flush=True)

def task():
    if "own" in sys.argv:
        atexit.register(own)

if __name__ == "__main__":
    atexit.register(inherited)
    context = multiprocessing.get_context(sys.argv[1])
    worker = context.Process(target=task)
    worker.start()
    worker.join()
"""
FORKED = "multiprocessing ends what it has forked by os._exit: "


def check_workers(recorded: Recorded, script: Path, version: tuple[int, ...], python: str | None) -> None:
    """What a handler of a worker prints shows whether it ran: from Python 3.13 on, or where nothing was forked."""
    for method in ("fork", "forkserver", "spawn"):
        result = recorded(script, method, "own", python=python)
        (worker,) = (child for child in result.children if child.role == "multiprocessing")
        runs = method == "spawn" or version >= (3, 13)
        assert (result.stdout, worker.ran) == (("own\n", ["own"]) if runs else ("", []))
        assert worker.reason == (None if runs else FORKED + "up to Python 3.12 no handlers run there")
        assert worker.ending == (Ending.RETURN if method == "spawn" else Ending.OS_EXIT)
        assert (result.reason, result.ran) == (None, ["inherited"])
    (worker,) = recorded(script, "fork", python=python).children
    reason = FORKED + "handlers that were registered before never run"
    assert (worker.skipped, worker.reason) == (([], None) if version >= (3, 13) else (["inherited"], reason))


def test_workers_of_multiprocessing(recorded: Recorded, script: Callable[..., Path]) -> None:
    """Those that were forked end by os._exit: up to Python 3.12 that is before any handler."""
    check_workers(recorded, script(WORKER), sys.version_info[:2], None)


@pytest.mark.slow
@pytest.mark.parametrize("version", others())
def test_workers_of_other_versions(recorded: Recorded, script: Callable[..., Path], version: str) -> None:
    """Each as it is there."""
    check_workers(recorded, script(WORKER), tuple(map(int, version.split("."))), others()[version])


@pytest.mark.parametrize(
    ("deed", "ending", "reason"),
    [
        ("os._exit(0)", Ending.OS_EXIT, "os._exit(0) was called at program.py:5: it ends the process without handlers"),
        (
            "os.execv(sys.executable, [sys.executable, '-c', ''])",
            Ending.EXEC,
            "os.execv replaced the program at program.py:5: handlers don't survive that",
        ),
        ("os.kill(os.getpid(), 9)", Ending.SIGKILL, "SIGKILL ended it at once: no program can handle that"),
        ("sys.exit(0)", Ending.RETURN, None),
    ],
)
def test_a_forked_child_has_its_own_reason(
    recorded: Recorded, deed: str, ending: Ending | None, reason: str | None
) -> None:
    """As far as the record tells, with the status that its parent was told."""
    program = f"""
    import atexit, os, sys
    atexit.register(os.getpid)
    if (child := os.fork()) == 0:
        {deed}
    os.waitpid(child, 0)
    """
    result = recorded(program)
    forked = result.children[0]
    assert (forked.ending, forked.reason) == (ending, reason)
    assert forked.skipped == (["getpid"] if reason else [])
    assert (result.ending, result.reason, result.ran) == (Ending.RETURN, None, ["getpid"])
    if reason:
        forked.assert_not_ran("getpid", by=ending)
    else:
        with pytest.raises(AssertionError, match="getpid ran"):
            forked.assert_not_ran("getpid", by="SIGKILL")


@pytest.mark.atexit(linger=0.05)
def test_a_daemon_that_still_runs(recorded: Recorded) -> None:
    """Its handlers may still run, so nothing explains why they did not."""
    program = """
    import atexit, os, time
    atexit.register(len, "x")
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
    """
    result = recorded(program)
    (daemon,) = result.children
    assert result.left_running == [daemon.pid]
    assert daemon.still_running
    assert not result.still_running
    assert daemon.reason == "it is still running"
    assert [line.split()[:2] for line in str(daemon).splitlines()][-1] == ["registered", "len('x')"]
