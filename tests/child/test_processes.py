"""Each process has a record of its own: what it is, what it inherited and ran, and how it ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import Ending, ExitResult, ExitStatus, Handler

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]


def of(result: ExitResult, name: str) -> Handler:
    """Returns the only handler of that name."""
    (handler,) = [handler for handler in result.handlers if handler.name == name]
    return handler


def test_forked_child_inherits_handlers(recorded: Recorded) -> None:
    """A child of a fork has a record of its own, with the inherited handlers under their numbers."""
    result = recorded("""
        import atexit, os, sys
        def shared(): pass
        def own(): pass
        def gone(): pass
        atexit.register(gone)
        atexit.register(shared)
        atexit.unregister(gone)
        if not os.fork():
            atexit.register(own)
            sys.exit(3)
        os.wait()
        atexit.register(own)
        """)
    (child,) = result.children
    assert (child.role, child.parent_pid, result.role) == ("fork", result.pid, "main")
    assert [(handler.name, handler.inherited, handler.state) for handler in child.handlers] == [
        ("shared", True, "ran"), ("own", False, "ran"),
    ]  # fmt: skip
    assert child.handlers[0].number == of(result, "shared").number
    assert child.handlers[1].number != of(result, "own").number
    assert child.ran == result.ran == ["own", "shared"]
    assert not any(handler.inherited for handler in result.handlers)


def test_fork_in_a_handler_has_the_remaining_ones_run_in_both(recorded: Recorded) -> None:
    """After a fork within a handler both processes run what is left, and neither runs the handler again."""
    if sys.version_info[:3] == (3, 12, 1):
        pytest.skip("this version can't fork in a handler")
    result = recorded("""
        import atexit, os
        def remaining(): pass
        def forks():
            if pid := os.fork():
                os.waitpid(pid, 0)
        def earlier(): pass
        for handler in remaining, forks, earlier:
            atexit.register(handler)
        """)
    (child,) = result.children
    assert result.ran == ["earlier", "forks", "remaining"]
    assert "remaining" in child.ran
    assert "earlier" not in child.ran
    assert child.unfinished == []


def test_child_that_leaves_or_is_killed_skips_its_handlers(recorded: Recorded) -> None:
    """`os._exit` and SIGKILL in a forked child skip what it inherited and registered."""
    result = recorded("""
        import atexit, os, signal
        def handler(): pass
        atexit.register(handler)
        for leave in lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL):
            if not os.fork():
                atexit.register(print)
                leave()
            os.wait()
        """)
    assert [(child.ran, child.skipped) for child in result.children] == [([], ["handler", "print"])] * 2
    assert result.ran == ["handler"]


def test_generations_of_forks_are_recorded(recorded: Recorded) -> None:
    """Each of a chain of forks has its record and its own parent."""
    result = recorded("""
        import atexit, os
        def handler(): pass
        atexit.register(handler)
        for _ in range(4):
            if pid := os.fork():
                os.waitpid(pid, 0)
                break
        """)
    chain = [result, *result.children]
    assert [child.parent_pid for child in chain[1:]] == [parent.pid for parent in chain[:-1]]
    assert [record.ran for record in chain] == [["handler"]] * 5


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="such a fork is a fatal error there: a lock was not taken before"
)
def test_fork_by_a_c_library_is_no_child(recorded: Recorded) -> None:
    """It tells Python after the fork only, as uWSGI does: what its child does is not taken for another child's."""
    result = recorded("""
        import atexit, ctypes, os, sys
        def of_the_first(): pass
        def of_the_second(): pass
        if not os.fork():
            atexit.register(of_the_first)
            sys.exit()
        os.wait()
        if not ctypes.PyDLL(None).fork():
            ctypes.pythonapi.PyOS_AfterFork_Child()
            atexit.register(of_the_second)
            sys.exit()
        os.wait()
        """)
    assert [child.ran for child in result.children] == [["of_the_first"]]


def test_failed_fork_leaves_no_child(recorded: Recorded) -> None:
    """A fork that the system refuses is no process."""
    result = recorded("""
        import atexit, os, resource, sys
        atexit.register(print)
        if os.geteuid() == 0:
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            os.fork()
        except BlockingIOError:
            sys.exit(4)
        """)
    assert (result.returncode, result.children, result.ran) == (4, [], ["print"])


ROLES = {
    "subprocess": ("subprocess", "subprocess.run([sys.executable, '-c', CODE])"),
    "subprocess with preexec_fn": ("subprocess", "subprocess.run([sys.executable, '-c', CODE], preexec_fn=int)"),
    "shell": ("subprocess", "os.system(f'{sys.executable} -c \"{CODE}\"')"),
    "spawnv": ("subprocess", "os.spawnv(os.P_WAIT, sys.executable, [sys.executable, '-c', CODE])"),
    "posix_spawn": (
        "subprocess",
        "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', CODE], os.environ), 0)",
    ),
}


@pytest.mark.parametrize("way", ROLES)
def test_programs_below_are_recorded_with_their_role(way: str, recorded: Recorded) -> None:
    """A Python program that is started by another one is a child with its own handlers and arguments."""
    if way == "posix_spawn" and not hasattr(os, "posix_spawn"):
        pytest.skip("PyPy has no os.posix_spawn")
    role, action = ROLES[way]
    result = recorded(f"""
        import atexit, os, subprocess, sys
        CODE = "import atexit; atexit.register(print)"
        atexit.register(len, "")
        {action}
        """)
    assert [(child.role, child.ran, child.pid == result.pid) for child in result.children] == [(role, ["print"], False)]
    assert result.children[0].argv[1:] == ["-c", "import atexit; atexit.register(print)"]
    assert result.ran == ["len"]


def test_exec_begins_another_record_in_the_same_process(recorded: Recorded) -> None:
    """Handlers don't survive an exec: the new program is a child with the same pid and starts with none."""
    result = recorded("""
        import atexit, os, sys
        atexit.register(print)
        os.execv(sys.executable, [sys.executable, "-c", "import atexit; atexit.register(len, '')"])
        """)
    (child,) = result.children
    assert (child.role, child.pid, child.ran) == ("exec", result.pid, ["len"])
    assert (result.ran, result.skipped, result.ending) == ([], ["print"], Ending.EXEC)


MULTIPROCESSING = """
import atexit, multiprocessing, sys
def handler(): pass
def work(): atexit.register(handler)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=work)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_are_told_from_its_helpers(method: str, recorded: Recorded) -> None:
    """A worker is one by any start method; servers and trackers are helpers."""
    result = recorded(MULTIPROCESSING, method, env={"TMPDIR": "/tmp"})
    workers = [child for child in result.children if child.role == "multiprocessing"]
    assert len(workers) == 1
    assert {child.role for child in result.children} - {"multiprocessing"} <= {"helper"}
    runs = method == "spawn" or sys.version_info >= (3, 13)
    assert (workers[0].registered, workers[0].ran) == (["handler"], ["handler"] if runs else [])


def test_children_without_the_agent_are_missing(recorded: Recorded) -> None:
    """A Python that ignores the environment is no child in the record, and nothing is made up for it."""
    result = recorded("""
        import atexit, subprocess, sys
        atexit.register(print)
        subprocess.run([sys.executable, "-I", "-c", "import atexit; atexit.register(print)"])
        subprocess.run(["true"])
        """)
    assert (result.children, result.ran) == ([], ["print"])


# ---- how they ended

ENDS = """
import asyncio, atexit, os, signal, subprocess, sys, threading, time
CODE = "import atexit, os, sys; atexit.register(len, ''); code = int(sys.argv[1]); code < 0 and os.kill(os.getpid(), -code); sys.exit(code)"
def handler(): pass
def say(pid, code):
    os.write(1, b"%d %d\\n" % (pid, code))
def forked(code):
    pid = os.fork()
    if not pid:
        if code < 0:
            os.kill(os.getpid(), -code)
        sys.exit(code)
    return pid
def told(waited):
    say(waited[0], os.waitstatus_to_exitcode(waited[1]))
def popen(code):
    return subprocess.Popen([sys.executable, "-c", CODE, str(code)])
def wait(process):
    process.wait()
    say(process.pid, process.returncode)
async def run():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CODE, "9")
    say(process.pid, await process.wait())
atexit.register(handler)
told(os.waitpid(forked(1), 0))
for code in 2, -9:
    forked(code)
    told(os.wait())
forked(3)
told(os.wait3(0))
told(os.wait4(forked(4), 0))
if hasattr(os, "waitid"):
    for options in os.WEXITED, os.WEXITED | os.WNOWAIT:
        for code in 5, -15:
            result = os.waitid(os.P_PID, forked(code), options)
            say(result.si_pid, result.si_status if result.si_code == os.CLD_EXITED else -result.si_status)
stopped = os.fork()
if not stopped:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(6)
os.waitpid(stopped, os.WUNTRACED)
os.kill(stopped, signal.SIGCONT)
told(os.waitpid(stopped, 0))
if hasattr(os, "posix_spawn"):
    told(os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", CODE, "7"], os.environ), 0))
polled = popen(8)
while polled.poll() is None:
    time.sleep(0.001)
say(polled.pid, polled.returncode)
asyncio.run(run())
threads = [threading.Thread(target=wait, args=[popen(code)]) for code in (10, -6, 11)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_status_is_what_the_parent_was_told(recorded: Recorded) -> None:
    """Whoever waits for its child, and however, tells how that ended."""
    result = recorded(ENDS)
    told = {int(pid): int(code) for pid, code in map(str.split, result.stdout.splitlines())}
    assert len(told) >= 11
    assert {child.pid: child.status and child.status.returncode for child in result.children} == told
    assert result.ran == ["handler"]


def test_status_is_known_where_waitpid_was_imported_by_name(recorded: Recorded) -> None:
    """Bound in the program's own module before its first fork, and not looked up in `os`."""
    result = recorded("""
        from os import _exit, fork, wait, waitpid
        if not (child := fork()):
            _exit(3)
        waitpid(child, 0)
        if not fork():
            _exit(4)
        wait()
        """)
    assert [child.status for child in result.children] == [ExitStatus(code=3), ExitStatus(code=4)]


def test_status_of_a_worker_is_its_exitcode(recorded: Recorded) -> None:
    """Multiprocessing waits itself; a forkserver does it in the place of the program."""
    for method in "fork", "spawn", "forkserver":
        result = recorded(WORKERS, method, env={"TMPDIR": "/tmp"})
        workers = {child.pid: child.status for child in result.children if child.role == "multiprocessing"}
        told = {
            int(pid): ExitStatus.from_returncode(int(code)) for pid, code in map(str.split, result.stdout.splitlines())
        }
        assert len(told) == 3 and workers == told, method


WORKERS = """
import multiprocessing, os, signal, sys
def work(code):
    code < 0 and os.kill(os.getpid(), -code)
    sys.exit(code)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    for code in 0, 3, -9:
        process = context.Process(target=work, args=[code])
        process.start()
        process.join()
        print(process.pid, process.exitcode, flush=True)
"""


def test_status_of_a_process_is_that_of_each_program_in_it(recorded: Recorded) -> None:
    """An exec doesn't end a process: what it ends with in the end counts for all that it was."""
    result = recorded("""
        import os, sys
        exits = [sys.executable, "-c", "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'import sys; sys.exit(7)'])"]
        if not os.fork():
            os.execv(sys.executable, exits)
        os.wait()
        os.execv(sys.executable, exits)
        """)
    assert [(child.role, child.status.code, child.pid == result.pid) for child in result.children] == [
        ("fork", 7, False), ("exec", 7, False), ("exec", 7, False), ("exec", 7, True), ("exec", 7, True),
    ]  # fmt: skip
    assert result.status.code == 7


def test_status_that_nobody_was_told_is_none(recorded: Recorded) -> None:
    """A daemon, a child that nobody waits for, and one whose parent isn't recorded ended somehow."""
    result = recorded("""
        import os, subprocess, sys
        if not os.fork():  # nobody waits for it
            sys.exit(1)
        middle = os.fork()
        if not middle:
            if os.fork():
                os._exit(2)
            sys.exit(3)  # its parent is gone
        os.waitpid(middle, 0)
        subprocess.run(["sh", "-c", f"{sys.executable} -c 'import sys; sys.exit(4)'; true"])
        """)
    assert [(child.role, child.status) for child in result.children] == [
        ("fork", None), ("fork", ExitStatus(code=2)), ("fork", None), ("subprocess", None),
    ]  # fmt: skip
