"""The one place that knows what the system must offer, and how to get at what the interpreter doesn't pass on.

Some interpreters lack functions that the C library and the kernel have: PyPy has no pidfd and no waitid, and a CPython
that was built for an old glibc (uv's until mid-2026, conda's) has no memfd_create. There ctypes calls them. What the
system itself lacks is a LaunchError at the first launch, never at an import: docs/platforms.md has the table.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from importlib import import_module

from pytest_atexit._errors import LaunchError

# Of Linux, for interpreters that have no names for them.
MFD_CLOEXEC, MFD_ALLOW_SEALING = 1, 2
SEEK_DATA = 3
P_PID, WEXITED, WNOWAIT, CLD_EXITED = 1, 4, 0x01000000, 1
SYS_PIDFD_SEND_SIGNAL, SYS_PIDFD_OPEN = 424, 434  # on all architectures


def memfd_create(name: str) -> int:
    """Returns a descriptor of memory that can be sealed."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
    return _call("memfd_create", name.encode(), MFD_CLOEXEC | MFD_ALLOW_SEALING)


def pidfd_open(pid: int) -> int:
    """Returns a descriptor of a process, which becomes readable at its end."""
    return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else _call("syscall", SYS_PIDFD_OPEN, pid, 0)


def pidfd_send_signal(pidfd: int, signum: int, flags: int = 0) -> None:
    """Send a signal to just that process."""
    if hasattr(signal, "pidfd_send_signal"):
        signal.pidfd_send_signal(pidfd, signum, None, flags)
    else:
        _call("syscall", SYS_PIDFD_SEND_SIGNAL, pidfd, signum, None, flags)


def returncode_of(child: int) -> int:
    """Wait for a child's end and return it as Popen does, but don't reap the child.

    Raises:
        ChildProcessError: another wait has taken it.
    """
    if hasattr(os, "waitid"):
        info = os.waitid(P_PID, child, WEXITED | WNOWAIT)
        assert info is not None  # as only with WNOHANG
        code, status = info.si_code, info.si_status
    else:
        code, status = _waitid(child)
    return status if code == CLD_EXITED else -status


def reap(child: int, pidfd: int) -> None:
    """Take the exit status of a process that has ended off the kernel, if it is a child of ours."""
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        else:  # as long as we hold it unreaped, its pid is nobody else's
            os.waitpid(child, os.WNOHANG)
    except ChildProcessError:
        pass


def _waitid(child: int) -> tuple[int, int]:
    """Returns si_code and si_status of a child that has ended."""
    import ctypes  # noqa: PLC0415, where it isn't needed it isn't loaded

    info = (ctypes.c_int * 32)()  # siginfo_t: three numbers, then a union that is aligned to a pointer
    _call("waitid", P_PID, child, info, WEXITED | WNOWAIT)
    union = 4 if ctypes.sizeof(ctypes.c_void_p) > ctypes.sizeof(ctypes.c_int) else 3
    return info[2], info[union + 2]  # behind si_pid and si_uid


def _call(function: str, *args: object) -> int:
    """Returns what a function of the C library returns.

    Raises:
        OSError: it failed.
        AttributeError: there is no such function.
    """
    if sys.platform != "linux":  # the numbers of system calls are Linux's, and a wrong one may be a fatal signal
        msg = "there is none"
        raise AttributeError(msg)
    import ctypes  # noqa: PLC0415, where it isn't needed it isn't loaded

    library = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args)  # syscall takes any number of words
    result = int(getattr(library, function)(*words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# What programs are recorded with, each with something that fails where it isn't there.
CAPABILITIES: dict[str, Callable[[], object]] = {
    "memfd_create": lambda: os.close(memfd_create("pytest-atexit")),
    "pidfd_open": lambda: os.close(pidfd_open(os.getpid())),
    "/proc": lambda: os.readlink("/proc/self/exe"),
    "process groups and sessions": lambda: (os.killpg, os.setsid, os.getsid(0)),
    "signal masks": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "signals": lambda: (signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL),
    "poll": lambda: select.poll().poll(0),
    "sysconf": lambda: os.sysconf("SC_CLK_TCK"),
    "the module fcntl": lambda: import_module("fcntl"),
    "the module resource": lambda: import_module("resource").prlimit,
}


def missing() -> list[str]:
    """Returns what this system lacks of all that, each with what was said when it was tried."""
    failures = ((name, _failure(attempt)) for name, attempt in CAPABILITIES.items())
    return [f"{name} ({failure})" for name, failure in failures if failure]


def _failure(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (AttributeError, ImportError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def require() -> None:
    """Raise a LaunchError where programs can't be recorded."""
    if lacking := missing():
        msg = (
            f"programs can't be recorded on this system, which lacks {'; '.join(lacking)}: "
            "run these tests on Linux 5.3 or later, or skip them here (docs/platforms.md)"
        )
        raise LaunchError(msg)
