"""What the kernel knows of processes (Linux: /proc). A pid alone names nobody: it goes with the time of the start.

The guardian imports this module by itself, in an interpreter of its own: it uses little of the standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pytest_atexit import _system

CHUNK = 1 << 13  # bytes that are read at a time

EXIT_SIGNAL, OF_THREADS = 35, b"-1"  # a field of stat behind the name, and what the kernel tells threads by
START_PATIENCE = 1e9  # nanoseconds in which a Python must have loaded the agent
WHOLE_GROUP = 1 << 2  # PIDFD_SIGNAL_PROCESS_GROUP, since Linux 6.9


def ticks(count: int) -> float:
    """Returns nanoseconds."""
    return count * 1e9 / os.sysconf("SC_CLK_TCK")


class Start(NamedTuple):
    """Something was started then, or soon after, as this pid: what it starts is younger.

    Attributes:
        pid: of it.
        started: in clock ticks since boot.
    """

    pid: int
    started: int

    @staticmethod
    def moment() -> int:
        """Returns the present one."""
        return int(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // ticks(1))


def contents(path: str) -> bytes:
    """Returns what a file in /proc holds; nothing if the process is gone or may not be looked at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # a file object would cost twice as much
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(descriptor, CHUNK):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def umask_in(status: bytes) -> int:
    """Returns that of a process by its file in /proc. To set our own, so as to be told it, would reach into threads."""
    return int(status.partition(b"\nUmask:")[2].split(None, 1)[0], 8)


class Process:
    """A process that is provably still the same: a pid with its start, in clock ticks since boot.

    Attributes:
        parent: its pid, as of when the process was looked at, like those that follow.
        group: its process group.
        session: its session.
        is_zombie: whether it has ended and was not reaped.
    """

    __slots__ = ("group", "is_zombie", "parent", "pid", "session", "started")

    def __init__(self, pid: int, stat: list[bytes]) -> None:
        self.pid = pid
        self.started = int(stat[19])
        self.parent, self.group, self.session = map(int, stat[1:4])
        self.is_zombie = stat[0] in b"ZX"

    def __repr__(self) -> str:
        return f"<Process {self.pid}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and (self.pid, self.started) == (other.pid, other.started)

    def __hash__(self) -> int:
        return hash((self.pid, self.started))

    @classmethod
    def look(cls, pid: int) -> Process | None:
        """Returns the process of this pid, be it a zombie, or None if there is none: threads have numbers, too."""
        stat = contents(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return cls(pid, stat) if stat and stat[EXIT_SIGNAL] != OF_THREADS else None

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Returns the process of this pid, or None if there is none or it is a zombie."""
        process = cls.look(pid)
        return None if process is None or process.is_zombie else process

    def runs(self, part: bytes) -> bool:
        """Whether that is a part of its command line."""
        return part in contents(f"/proc/{self.pid}/cmdline")

    def may_be_starting(self) -> bool:
        """Whether it is a Python that has just been started, and so may not have come to write anything."""
        try:
            name = os.path.basename(os.readlink(f"/proc/{self.pid}/exe"))
        except OSError:
            return False
        age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks(self.started)
        return name.startswith(("python", "pypy")) and age < START_PATIENCE

    @contextlib.contextmanager
    def _held(self) -> Iterator[int]:
        """A descriptor of it, which can't become another's.

        Raises:
            ProcessLookupError: it is gone.
            OSError: no descriptor could be made.
        """
        descriptor = _system.pidfd_open(self.pid)
        try:
            if self != Process.look(self.pid):  # looked at second: who has the pid now, had it when it was opened
                raise ProcessLookupError
            yield descriptor
        finally:
            os.close(descriptor)

    def signal(self, signum: int) -> None:
        """Send it a signal, if it is still there."""
        with contextlib.suppress(OSError), self._held() as descriptor:
            _system.pidfd_send_signal(descriptor, signum)

    def signal_group(self, signum: int) -> bool:
        """Send a signal to the process group that it leads, all at once, or else to itself; whether that is allowed."""
        try:
            with self._held() as descriptor:
                try:
                    _system.pidfd_send_signal(descriptor, signum, WHOLE_GROUP)
                except OSError:  # It leads none, or the kernel is an older one.
                    _system.pidfd_send_signal(descriptor, signum)
        except PermissionError:
            return False
        except OSError:
            pass
        return True

    def reap(self) -> None:
        """Take its exit status off the kernel, if it has ended as a child of this process."""
        with contextlib.suppress(OSError), self._held() as descriptor:
            _system.reap(self.pid, descriptor)


def recorded(pid: int, moment: int) -> Process | None:
    """Returns the process that wrote into the journal at that moment of the monotonic clock (ns), if it lives."""
    process = written_by(pid, moment)
    return None if process is None or process.is_zombie else process


def written_by(pid: int, moment: int) -> Process | None:
    """As `recorded`, be it a zombie."""
    process = Process.look(pid)
    if process is None:
        return None
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return process if ticks(process.started) <= moment + boot + ticks(2) else None


def wait_for_end(processes: Iterable[Process], seconds: float) -> None:
    """Return when one of the processes has ended, or after so many seconds."""
    poll = select.poll()
    descriptors = []
    try:
        for process in processes:
            try:
                descriptors.append(_system.pidfd_open(process.pid))
            except ProcessLookupError:
                return
            except OSError:  # Too many descriptors are open: wait for the others.
                continue
            poll.register(descriptors[-1], select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


class SignalMasks:
    """Sets of signals of a process as the kernel holds them: bit 0 is signal 1."""

    def __init__(self, caught: int = 0, ignored: int = 0) -> None:
        self.caught = caught
        self.ignored = ignored

    @classmethod
    def of(cls, pid: int) -> SignalMasks:
        """Returns the masks of a process; empty ones if it is gone."""
        return cls.told_in(contents(f"/proc/{pid}/status"))

    @classmethod
    def told_in(cls, status: bytes) -> SignalMasks:
        """Returns the masks that the file of a process in /proc tells."""
        names = b"\nSigCgt:", b"\nSigIgn:"
        return cls(*(int(status.partition(name)[2].partition(b"\n")[0] or b"0", 16) for name in names))

    def catches(self, signum: int) -> bool:
        """Whether a signal handler is installed."""
        return bool(self.caught << 1 >> signum & 1)

    def ignores(self, signum: int) -> bool:
        """Whether the signal does nothing. Of our own ones PyPy's `signal.getsignal` doesn't know it."""
        return bool(self.ignored << 1 >> signum & 1)
