"""Each process has a record of its own: what it is, what it inherited and ran, and how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import Ending, ExitResult, Handler

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
    "posix_spawn": (
        "subprocess",
        "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', CODE], os.environ), 0)",
    ),
}


@pytest.mark.parametrize("way", ROLES)
def test_programs_below_are_recorded_with_their_role(way: str, recorded: Recorded) -> None:
    """A Python program that is started by another one is a child with its own handlers and arguments."""
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
