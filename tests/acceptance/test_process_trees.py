"""The whole tree of a program goes, wherever its processes went, and nothing of it can hold the test up."""

import os
import re
import resource
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import CapExit, ProgramTimeout

Lives = Callable[[int], bool]
Marked = Callable[[str], list[int]]

SAY_PIDS = r"pids((?: \d+)+)\n"
WAIT = "while True: time.sleep(60)"

# Programs that say the pids of all their processes but the first, when these are where they want to be.
TREES = {
    "double fork": f"""
import os, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        for number in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        os.write(writer, b"%d" % os.getpid())
        {WAIT}
    os._exit(0)
os.wait()
print("pids", os.read(reader, 99).decode(), flush=True)
""",
    "new session": """
import os, subprocess
sleep = subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("pids", sleep.pid, flush=True)
""",
    "new session, empty environment": """
import os, subprocess, time
sleep = subprocess.Popen(["sleep", "60"], start_new_session=True, env={})
print("pids", sleep.pid, flush=True)
time.sleep(60)
""",
    "nohup": """
import subprocess
command = "nohup sleep 60 >/dev/null 2>&1 & echo pids $!"
subprocess.run(["sh", "-c", command], check=True)
""",
    "orphan of an own group": """
import subprocess
print("pids", subprocess.Popen(["sleep", "60"], preexec_fn=__import__("os").setpgrp).pid, flush=True)
""",
    "stopped": """
import os, signal, time
if (child := os.fork()) == 0:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(child, os.WUNTRACED)
print("pids", child, flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
""",
    "deaf": f"""
import os, signal, time
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    for number in {{*signal.valid_signals()}} - {{signal.SIGKILL, signal.SIGSTOP}}:
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    os.setsid()
    os.write(writer, b"x")
    {WAIT}
os.read(reader, 1)
print("pids", child, flush=True)
""",
    "another user": f"""
import os, time
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    os.setsid()
    os.setresuid(65534, 65534, 65534)
    os.write(writer, b"x")
    {WAIT}
os.read(reader, 1)
print("pids", child, flush=True)
""",
    "other arguments and environment": f"""
import ctypes, os, time
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    os.setsid()
    start, end = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[47:49])
    ctypes.memset(start, 0, end - start)  # as setproctitle does
    os.write(writer, b"x")
    {WAIT}
os.read(reader, 1)
print("pids", child, flush=True)
""",
}


@pytest.mark.parametrize("program", [pytest.param(program, id=name) for name, program in TREES.items()])
def test_a_tree_is_gone_when_the_block_is_left(capexit: CapExit, lives: Lives, program: str) -> None:
    """Whatever a program's processes did to get away, they end with it."""
    if "setresuid" in program and os.getuid():
        pytest.skip("only root can change the user")
    with capexit.start(program) as started:
        pids = [int(pid) for pid in started.wait_for_output(SAY_PIDS)[1].split()]
        assert all(lives(pid) for pid in pids)
    assert pids
    assert [pid for pid in pids if lives(pid)] == []
    assert not lives(started.pid)


@pytest.mark.atexit(linger=0.05)
def test_what_left_the_session_is_listed_as_left_running(capexit: CapExit, lives: Lives) -> None:
    """A daemon that is no Python, with a session of its own, is known all the same."""
    result = capexit.run(TREES["new session"])
    pid = int(re.search(SAY_PIDS, result.stdout)[1])
    assert lives(pid)
    assert result.left_running == [pid]


@pytest.mark.atexit(linger=0.05)
def test_threads_are_not_listed_as_left_running(capexit: CapExit) -> None:
    """What is left has threads, whose numbers come right behind its own: only the process is named."""
    result = capexit.run(f"""
import os, threading, time
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    threads = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    os.write(writer, b"x")
    {WAIT}
os.read(reader, 1)
print(child)
""")
    assert result.left_running == [int(result.stdout)]


def test_a_timeout_ends_the_tree(capexit: CapExit, lives: Lives) -> None:
    """A program that outlives its timeout goes with what left its session."""
    program = capexit.start(TREES["new session, empty environment"])
    pid = int(program.wait_for_output(SAY_PIDS)[1])
    with pytest.raises(ProgramTimeout):
        program.wait(timeout=0.1)
    assert not lives(pid)


STORM = """
import os, signal, time
end = time.monotonic() + 20  # A storm that nobody ends must not blow for ever.
for _ in range(3):
    if os.fork() == 0:
        while time.monotonic() < end:
            SESSION
            if os.fork():
                os._exit(0)
            time.sleep(0.001)
os.write(1, b"storm\\n")
time.sleep(60)
"""


@pytest.mark.parametrize("session", ["pass", "os.setsid()"], ids=["in one group", "a new session each time"])
def test_a_fork_storm_ends(capexit: CapExit, marked: Marked, session: str) -> None:
    """Processes that give way to a child again and again are caught."""
    mark = f"STORM_{uuid.uuid4().hex}"
    with capexit.start(STORM.replace("SESSION", session), env={mark: "1"}) as storm:
        storm.wait_for_output("storm")
    assert marked(mark) == []


def test_an_unrelated_process_is_left_alone(capexit: CapExit, lives: Lives) -> None:
    """A process of the test's own, with the environment of a program but for our part in it, outlives all programs."""
    own = subprocess.Popen(["sleep", "60"], env={**os.environ, "PYTHONPATH": "/nowhere"}, start_new_session=True)
    try:
        with capexit.start(TREES["new session"]) as started:
            started.wait_for_output(SAY_PIDS)
        assert own.poll() is None
    finally:
        own.kill()
        own.wait()


def test_other_programs_go_on(capexit: CapExit, lives: Lives) -> None:
    """The end of one program leaves the processes of another one alone."""
    with capexit.start(TREES["new session"]) as first:
        pid = int(first.wait_for_output(SAY_PIDS)[1])
        with capexit.start(TREES["new session"]) as second:
            other = int(second.wait_for_output(SAY_PIDS)[1])
        assert lives(pid)
        assert not lives(other)
    assert not lives(pid)


def test_no_core_file(capexit: CapExit, tmp_path: Path) -> None:
    """A crash leaves no core file, though the test's own limit allows it, and that limit stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if not hard:
        pytest.skip("the limit on core files can't be raised")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        result = capexit.run("pass", ending="segfault", cwd=tmp_path)
        limits = resource.getrlimit(resource.RLIMIT_CORE)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert result.status.signal == signal.SIGSEGV
    assert list(tmp_path.iterdir()) == []
    assert limits == (hard, hard)


def test_shared_memory_of_a_killed_program_is_removed(capexit: CapExit) -> None:
    """By multiprocessing's resource tracker, as after any SIGKILL: it outlives those that it works for."""
    started = capexit.start("""
        import time
        from multiprocessing.shared_memory import SharedMemory
        memory = SharedMemory(create=True, size=1)
        print(memory.name, flush=True)
        time.sleep(60)
        """)
    name = started.wait_for_output(r"\w+\n")[0].strip()
    assert name in os.listdir("/dev/shm")
    with pytest.raises(ProgramTimeout) as caught:
        started.wait(timeout=0.1)
    assert name not in os.listdir("/dev/shm")
    assert caught.value.result is not None
    assert [child.role for child in caught.value.result.children] == ["helper"]
    assert "leaked shared_memory" in caught.value.result.stderr
