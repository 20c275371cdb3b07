"""Programs as PID 1 of a PID namespace, as in a container."""

import os
import signal
import sys
from pathlib import Path

import pytest

from pytest_atexit import Ending, LaunchError, ProgramTimeout
from pytest_atexit._launch._process import Process, wait_for_end

SERVICE = """
import atexit, os, signal, sys, time

@atexit.register
def close():
    os.write(1, b"closed\\n")

if "graceful" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.write(1, b"ready\\n")
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def started(capexit):
    """A function that starts the service as PID 1 and returns it when it is ready."""

    def start(*options):
        program = capexit.start(SERVICE, *options, as_pid1=True)
        program.wait_for_output("ready\n")
        return program

    return start


def test_pid1_ignores_what_it_has_no_signal_handler_for(started):
    """SIGTERM does nothing, so `stop` ends in SIGKILL, and the result says why."""
    result = started().stop(grace=0.2)
    assert result.killed_after_grace
    result.assert_not_ran("close", by="SIGKILL")
    assert result.reason == (
        "SIGKILL ended it, for it was still running 0.2 s after SIGTERM: "
        "PID 1 ignores SIGTERM as long as no signal handler is installed"
    )


def test_pid1_with_a_signal_handler_is_orderly(started):
    """The pids are those that a test can signal; a handler is held as ever."""
    program = started("graceful")
    program.wait_for_signal_handler("SIGTERM")
    moment = program.during("close")
    os.kill(program.pid, signal.SIGTERM)
    with moment:
        assert moment.pid == program.pid
        assert program.stdout == "ready\n"
    result = program.wait()
    assert (result.pid, result.parent_pid, result.role) == (program.pid, 0, "main")
    assert result.ran == ["close"]
    assert result.ending is Ending.RETURN
    assert result.reason is None


def test_pid1_that_ignores_nothing_but_its_own_signals(capexit):
    """What it does to itself is ignored likewise; KeyboardInterrupt, which Python ends by a signal, is code 130."""
    program = "import atexit; atexit.register(print, 'closed')"
    terminated = capexit.run(program, ending="SIGTERM", as_pid1=True)
    assert (terminated.ending, terminated.ran) == (Ending.RETURN, ["print"])
    if sys.implementation.name == "pypy":
        return  # it ends with an error of its own there
    interrupted = capexit.run(program, ending="SIGINT", as_pid1=True)
    assert (interrupted.ending, interrupted.ran) == (Ending.SIGINT, ["print"])
    assert str(interrupted.status) == "exit code 130"


def test_pid1_finds_what_it_finds_elsewhere(capexit):
    """But for its number and those in /proc, it can't tell that it was started in another way."""
    program = """
    import os, resource, sys
    print("PID 1:", os.getpid() == 1, file=sys.stderr)
    print(sorted(name for name in os.listdir("/proc") if name.isdigit()) == [str(os.getpid())], file=sys.stderr)
    print(os.getpid() == os.getpgrp() == os.getsid(0), os.getcwd(), os.umask(0), sys.argv[1:], sys.stdin.read())
    print(sorted({*os.environ.items()} - {("PYTEST_ATEXIT_JOURNAL", os.environ["PYTEST_ATEXIT_JOURNAL"])}))
    print([line for line in open("/proc/self/status") if line[:4] in ("SigB", "SigC", "SigI")])
    print(resource.getrlimit(resource.RLIMIT_CORE))
    print(sorted(os.listdir("/proc/self/fd")), os.getuid(), os.geteuid(), os.getgid())
    """
    options = {"env": {"ODD": "\udcff=\n", "LC_ALL": "C"}, "stdin": "text"}
    plain = capexit.run(program, "a b", **options)
    first = capexit.run(program, "a b", as_pid1=True, **options)
    assert first.stdout == plain.stdout
    assert (first.stderr, first.children, first.left_running) == ("PID 1: True\nTrue\n", [], [])
    assert first.command.startswith("unshare --fork --pid --mount-proc env ")


FAMILY = '''
import atexit, os, subprocess, sys, time

@atexit.register
def close():
    os.write(1, b"closed by %d\\n" % os.getpid())

if not os.fork():
    sys.exit()
os.wait()
orphan = """
import os, time
if not os.fork():
    while os.getppid() != 1:
        time.sleep(0.001)
    os.write(1, b"orphaned")
    time.sleep(60)
"""
subprocess.run([sys.executable, "-c", orphan])
time.sleep(60)
'''


def test_children_die_with_pid1(capexit, lives):
    """Orphans are its own, and the kernel ends all of the namespace with it. Pids of children are those inside."""
    program = capexit.start(FAMILY, as_pid1=True)
    forked = program.during("close")
    with forked:
        assert forked.pid != program.pid
        status = Path(f"/proc/{forked.pid}/status").read_text()
        inside = int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])
    program.wait_for(lambda: "orphaned" in program.stdout and len(children_of(program.pid)) == 1)
    orphan = children_of(program.pid)[0]
    program.kill()
    result = program.wait()
    assert not lives(orphan)
    assert result.left_running == []
    child, parent, orphaned = result.children
    assert (child.role, child.pid, child.parent_pid, child.ran) == ("fork", inside, program.pid, ["close"])
    assert (parent.role, parent.parent_pid) == ("subprocess", program.pid)
    assert (orphaned.role, orphaned.parent_pid) == ("fork", parent.pid)


def children_of(pid):
    """Pids of the children of the main thread of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_shell_form_of_an_entry_point(capexit, tmp_path):
    """PID 1 is the shell, which passes nothing on: SIGTERM never reaches the program, though it could handle it."""
    service = tmp_path / "service.py"
    service.write_text(SERVICE)
    program = capexit.start(["sh", "-c", f"{sys.executable} {service} graceful; true"], as_pid1=True)
    program.wait_for_output("ready\n")
    result = program.stop(grace=0.2)
    result.assert_not_ran("close")
    assert result.killed_after_grace
    assert "PID 1 ignores SIGTERM as long as no signal handler is installed" in result.reason
    assert result.pid != program.pid
    assert result.parent_pid == program.pid


def test_stacks_of_what_hangs_below_pid1(capexit):
    """Each process is named by its pid in the record, with its stack."""
    program = """
    import os, time

    def waits_for_nobody():
        time.sleep(60)

    pid = os.fork()
    os.write(1, b"ready\\n")
    waits_for_nobody()
    """
    started = capexit.start(program, as_pid1=True)
    started.wait_for(lambda: started.stdout.count("ready\n") == 2)
    with pytest.raises(ProgramTimeout) as error:
        started.wait(timeout=0.1)
    (child,) = error.value.result.children
    text = str(error.value)
    assert f"process {started.pid} (main): " in text
    assert f"process {child.pid} (fork): " in text
    assert "no stacks" not in text
    assert text.count(" was still running: its main thread was in waits_for_nobody (") == 2


def test_what_cannot_be_executed_as_pid1(capexit, tmp_path):
    """The error is that of a start in the ordinary way."""
    file = tmp_path / "no-program"
    file.write_bytes(b"\x7fELF, but no more than that")
    file.chmod(0o755)
    with pytest.raises(LaunchError) as plain:
        capexit.start([file])
    with pytest.raises(LaunchError) as error:
        capexit.start([file], as_pid1=True)
    assert str(error.value) == str(plain.value)


IN_TEST = """
import os, pytest

def test_skipped(capexit):
    capexit.start("pass", as_pid1=True)

def test_other(capexit):
    assert capexit.run("import atexit; atexit.register(print, 'x')").ran == ["print"]
"""


def test_where_the_system_allows_no_namespace(pytester, inner_tmpdir):
    """The test is skipped, and the reason is that of the system."""
    pytester.makepyfile(IN_TEST)
    forbid = 'echo 0 > /proc/sys/user/max_pid_namespaces || exit 77; exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"]
    result = pytester.run(*unshare, sys.executable, "-m", "pytest", "-rs")
    if result.ret == 77 or "unshare: " in result.stderr.str():
        pytest.skip("needs a user namespace, in which PID namespaces can be forbidden")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["SKIPPED*as_pid1 needs a PID namespace of the program's own, which this system doesn't allow (*No space left*"]
    )


def test_pid1_ends_with_pytest(inner, lives, tmp_path):
    """Killed, pytest leaves nothing of it."""
    file = tmp_path / "pids"
    inner(
        f"""
        import os, pathlib, signal
        def test_killed(capexit):
            program = capexit.start("import time; print('ready', flush=True); time.sleep(60)", as_pid1=True)
            program.wait_for_output("ready")
            pathlib.Path({str(file)!r}).write_text(str(program.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    pid = int(file.read_text())
    if process := Process.of(pid):
        wait_for_end([process], 20)
    assert not lives(pid)
