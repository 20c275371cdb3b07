"""What the system must offer: each thing that can be missing, what is said then, and what can be had all the same."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_atexit import CapExit, LaunchError, _system

# What interpreters on other systems, of old builds or of another make lack, and which capability goes with it.
TAKEN = {
    "process groups and sessions": (os, "setsid"),
    "signal masks": (signal, "pthread_sigmask"),
    "signals": (signal, "SIGKILL"),
    "poll": (select, "poll"),
    "sysconf": (os, "sysconf"),
}
NOT_THE_SYSTEMS = [(os, "memfd_create"), (os, "pidfd_open"), (signal, "pidfd_send_signal"), (os, "waitid")]


def unavailable(*args: object) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that has none of what ctypes can get, as PyPy or one that was built for an old C library."""
    for module, name in NOT_THE_SYSTEMS:
        monkeypatch.delattr(module, name, raising=False)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is told to end, by a line on its stdin or by a signal."""
    with subprocess.Popen([sys.executable, "-c", "exit(len(input()))"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_this_system_lacks_nothing() -> None:
    """Where the tests run, programs can be recorded."""
    assert _system.missing() == []


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each capability is tried, and the one that fails is said with its cause."""
    module, attribute = TAKEN[name]
    monkeypatch.delattr(module, attribute)
    (lacking,) = _system.missing()
    assert lacking.startswith(f"{name} (")
    assert attribute in lacking


@pytest.mark.parametrize("name", ["memfd_create", "pidfd_open"])
def test_what_the_kernel_refuses_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function may be there and yet fail, on an old kernel or in a sandbox."""
    monkeypatch.setattr(os, name, unavailable, raising=False)
    assert _system.missing() == [f"{name} ([Errno {errno.ENOSYS}] {os.strerror(errno.ENOSYS)})"]


@pytest.mark.parametrize("name", ["fcntl", "resource"])
def test_modules_that_are_missing_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no such modules."""
    monkeypatch.setitem(sys.modules, name, None)
    (lacking,) = _system.missing()
    assert lacking.startswith(f"the module {name} (")


@pytest.mark.parametrize("name", _system.CAPABILITIES)
def test_a_launch_says_what_is_missing_and_what_to_do(
    name: str, capexit: CapExit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is started where anything is missing: the first launch of a session says so, and a port does."""
    monkeypatch.delitem(vars(capexit._session), "agent", raising=False)
    monkeypatch.setitem(_system.CAPABILITIES, name, unavailable)
    for call in (lambda: capexit.run(""), capexit.free_port):
        with pytest.raises(LaunchError) as caught:
            call()
        assert str(caught.value) == (
            f"programs can't be recorded on this system, which lacks {name} ([Errno 38] Function not implemented): "
            "run these tests on Linux 5.3 or later, or skip them here (docs/platforms.md)"
        )


@pytest.mark.usefixtures("bare")
def test_an_interpreter_that_passes_nothing_on_is_enough() -> None:
    """What only the interpreter lacks is no lack of the system's."""
    assert _system.missing() == []


@pytest.mark.usefixtures("bare")
def test_no_system_call_of_linux_is_made_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number means something else there."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _system.missing() == ["memfd_create (there is none)", "pidfd_open (there is none)"]


@pytest.mark.usefixtures("bare")
def test_programs_are_recorded_all_the_same(capexit: CapExit) -> None:
    """With such an interpreter a program runs, is waited for, signalled and killed."""
    result = capexit.run("import atexit, sys; atexit.register(print, 1); sys.exit(7)")
    assert (result.ran, result.status.code) == (["print"], 7)
    with capexit.start("import atexit, time; atexit.register(print)\ntime.sleep(60)") as program:
        program.wait_for_handlers("print")
        assert program.stop().status.signal == signal.SIGTERM


@pytest.mark.parametrize("exists", [True, False])
def test_an_end_is_known_before_it_is_reaped(
    exists: bool, child: subprocess.Popen[bytes], request: pytest.FixtureRequest
) -> None:
    """An exit code, by `os.waitid` or by ctypes: the child is left for somebody else to reap."""
    if not exists:
        request.getfixturevalue("bare")
    child.stdin.write(b"12345\n")
    child.stdin.flush()
    assert _system.returncode_of(child.pid) == 5
    assert child.wait() == 5


@pytest.mark.parametrize("exists", [True, False])
def test_a_signal_reaches_the_process_of_a_pidfd(
    exists: bool, child: subprocess.Popen[bytes], request: pytest.FixtureRequest
) -> None:
    """A process is killed through its descriptor, and its end says by which signal."""
    if not exists:
        request.getfixturevalue("bare")
    pidfd = _system.pidfd_open(child.pid)
    try:
        assert select.select([pidfd], [], [], 0)[0] == []
        _system.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], 30)[0] == [pidfd]
    finally:
        os.close(pidfd)
    assert _system.returncode_of(child.pid) == -signal.SIGKILL


@pytest.mark.usefixtures("bare")
def test_errors_of_the_c_library_are_errors() -> None:
    """What the kernel refuses is an OSError, with its number."""
    with pytest.raises(ProcessLookupError):
        _system.pidfd_open(2**22)  # no pid is that large
    with pytest.raises(ChildProcessError):
        _system.returncode_of(os.getppid())


# What other systems lack: the names that their documentation leaves out, and the modules.
ELSEWHERE = """
import asyncio  # it is prepared for each system that it comes with
import importlib, os, select, signal, socket, sys, time
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for module, names in {
    os: "memfd_create MFD_CLOEXEC MFD_ALLOW_SEALING pidfd_open waitid P_PID WNOWAIT WEXITED CLD_EXITED killpg setsid"
        " getsid getpgid sysconf SEEK_DATA fork register_at_fork pread posix_spawn",
    signal: "SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGBUS SIG_BLOCK SIG_SETMASK pthread_sigmask pidfd_send_signal",
    select: "poll",
    socket: "AF_UNIX",
    time: "CLOCK_BOOTTIME clock_gettime_ns clock_gettime CLOCK_MONOTONIC",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""

SUITE = """
import pytest

def test_of_somebody():
    assert 1 + 1 == 2

def test_that_runs_a_program(capexit):
    capexit.run("")

def test_that_wants_a_port(capexit):
    capexit.free_port()
"""


def test_elsewhere_the_plugin_loads_and_says_what_is_missing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everything is missing that macOS or Windows lack, all modules load, and only a launch is an error."""
    pytester.makepyfile(elsewhere=ELSEWHERE, test_suite=SUITE)
    imports = """
import elsewhere, importlib, pathlib, pytest_atexit
package = pathlib.Path(pytest_atexit.__file__).parent
for path in sorted(package.rglob("*.py")):
    if path.parent.name != "_child":
        importlib.import_module(".".join(path.relative_to(package.parent).with_suffix("").parts))
print(*[getattr(pytest_atexit, name) for name in pytest_atexit.__all__])
"""
    done = pytester.runpython_c(imports)
    assert done.ret == 0, done.stderr.str()
    monkeypatch.setenv("PYTEST_PLUGINS", "elsewhere,pytest_atexit.plugin")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    for name in _system.CAPABILITIES.keys() - {"/proc", "memfd_create", "pidfd_open"}:
        assert f"{name} (" in text
    assert text.count("LaunchError: programs can't be recorded on this system") >= 2
