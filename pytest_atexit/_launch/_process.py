"""What the kernel knows of processes (Linux: /proc). A pid alone names nobody: it goes with the time of the start."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_atexit import _system

START_PATIENCE = 1e9  # nanoseconds in which a Python must have loaded the agent


def ticks(count: int) -> float:
    """Returns nanoseconds."""
    return count * 1e9 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process that is provably still the same: a pid with its start, in clock ticks since boot."""

    pid: int
    started: int
    parent: int
    group: int
    session: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Returns the process of this pid, or None if there is none or it is a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), int(fields[1]), int(fields[2]), int(fields[3]))

    def may_be_starting(self) -> bool:
        """Whether it is a Python that has just been started, and so may not have come to write anything."""
        try:
            name = os.path.basename(os.readlink(f"/proc/{self.pid}/exe"))
        except OSError:
            return False
        age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks(self.started)
        return name.startswith(("python", "pypy")) and age < START_PATIENCE

    def kill(self) -> None:
        """End it with SIGKILL, if it is still there."""
        with contextlib.suppress(OSError):
            descriptor = _system.pidfd_open(self.pid)
            try:
                if self == Process.of(self.pid):
                    _system.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def recorded(pid: int, moment: int) -> Process | None:
    """Returns the process that wrote into the journal at that moment of the monotonic clock (ns), if it lives."""
    process = Process.of(pid)
    if process is None:
        return None
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return process if ticks(process.started) <= moment + boot + ticks(2) else None


def session_members(session: int) -> list[Process]:
    """Returns the living processes of a session."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [process for pid in pids if (process := Process.of(pid)) and process.session == session]


def wait_for_end(processes: Iterable[Process], seconds: float) -> None:
    """Return when one of the processes has ended, or after so many seconds."""
    poll = select.poll()
    descriptors = []
    try:
        for process in processes:
            with contextlib.suppress(OSError):
                descriptors.append(_system.pidfd_open(process.pid))
                poll.register(descriptors[-1], select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@dataclass(frozen=True)
class SignalMasks:
    """Sets of signals of a process as the kernel holds them: bit 0 is signal 1."""

    caught: int = 0
    ignored: int = 0
    blocked: int = 0
    pending: int = 0

    @classmethod
    def of(cls, pid: int) -> SignalMasks:
        """Returns the masks of a process; empty ones if it is gone."""
        names = {"SigCgt": "caught", "SigIgn": "ignored", "SigBlk": "blocked", "ShdPnd": "pending"}
        found = {}
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
                key, _, value = line.partition(":")
                if key in names:
                    found[names[key]] = int(value, 16)
        return cls(**found)

    def catches(self, signum: int) -> bool:
        """Whether a signal handler is installed."""
        return bool(self.caught << 1 >> signum & 1)

    def ignores(self, signum: int) -> bool:
        """Whether the signal does nothing. Of our own ones PyPy's `signal.getsignal` doesn't know it."""
        return bool(self.ignored << 1 >> signum & 1)
