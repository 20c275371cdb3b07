"""Collects what a child writes, and notices its end, so that nothing can block who reads."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from typing import IO, TYPE_CHECKING

from pytest_atexit import _system

if TYPE_CHECKING:
    from pytest_atexit._launch._fork import Forked
    from pytest_atexit._launch._popen import Child

CHUNK = 1 << 16


class Output:
    """What a child has written so far, and how it ended.

    It is collected by who waits for the end, which costs nothing more, or by a thread, once there is one.

    The child is not reaped before `close`: until then its pid, and that of its process group, can be nobody else's.
    Waiters hold `changed`; it is notified with each piece of output and with the end.

    Args:
        child: its streams are pipes; one that isn't is the program's own business.
        in_thread: start the thread at once.

    Attributes:
        stdout: all that was read so far.
        stderr: likewise.
        returncode: as `Popen.returncode`, None while the child runs, and where another wait has taken its status.
        ended: when that was noticed, in nanoseconds of the monotonic clock.
    """

    def __init__(self, child: Child | Forked, *, in_thread: bool) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.returncode: int | None = None
        self.ended: int | None = None
        self.changed = threading.Condition()
        self._child = child
        self._streams: dict[int, tuple[IO[bytes], bytearray]] = {}
        self._poll = select.poll()
        self._thread: threading.Thread | None = None
        self._closed = False
        for stream, into in ((child.stdout, self.stdout), (child.stderr, self.stderr)):
            if stream is None:
                continue
            os.set_blocking(stream.fileno(), False)
            self._streams[stream.fileno()] = stream, into
            self._poll.register(stream, select.POLLIN)
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._abandon)
            self._pidfd = _system.pidfd_open(child.pid)
            on_error.callback(os.close, self._pidfd)
            self._poll.register(self._pidfd, select.POLLIN)
            if in_thread:
                self.collect_in_thread()
            on_error.pop_all()

    def _abandon(self) -> None:
        """End the child, whose output can't be collected. It is just being started, and so is all of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for stream, _ in self._streams.values():
            stream.close()

    def collect_in_thread(self) -> None:
        """From now on don't leave it to who waits, for nobody may do so.

        Raises:
            OSError: no descriptor is left.
            RuntimeError: no thread can be started.
        """
        if self._thread is not None or self._closed:
            return
        with contextlib.ExitStack() as on_error:
            self._wake, self._alarm = os.pipe()
            on_error.callback(os.close, self._wake)
            on_error.callback(os.close, self._alarm)
            self._poll.register(self._wake, select.POLLIN)
            on_error.callback(self._poll.unregister, self._wake)
            name = f"pytest-atexit output of {self._child.pid}"
            self._thread = threading.Thread(target=self._collect_all, name=name, daemon=True)
            on_error.callback(setattr, self, "_thread", None)
            self._thread.start()
            on_error.pop_all()

    def _collect_all(self) -> None:
        while self._streams or self.ended is None:
            if self._wake in self._collect():
                return

    def _collect(self, seconds: float | None = None) -> set[int]:
        """Wait for what comes next, and take it; returns the descriptors that were ready."""
        ready = {descriptor for descriptor, _ in self._poll.poll(None if seconds is None else seconds * 1000)}
        for descriptor in ready & self._streams.keys():
            with self.changed:
                if not self._read(descriptor):
                    self._poll.unregister(descriptor)
                    self._streams.pop(descriptor)[0].close()
        if self._pidfd in ready:
            self._poll.unregister(self._pidfd)
            self._end()
        return ready

    def _read(self, descriptor: int) -> bool:
        """Take what is there; False at the end of the file. The caller holds `changed`."""
        into = self._streams[descriptor][1]
        while True:
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            into += data
            self.changed.notify_all()

    @property
    def stderr_pipe(self) -> str:
        """What /proc shows for the pipe that stderr is read from, such as "pipe:[123]"; nothing if that is closed."""
        with self.changed:
            stream = self._child.stderr
            return os.readlink(f"/proc/self/fd/{stream.fileno()}") if stream and not stream.closed else ""

    def read(self) -> tuple[bytes, bytes]:
        """Returns all that has been written by now to stdout and stderr, by whom ever."""
        with self.changed:
            for descriptor in self._streams:
                self._read(descriptor)
            return bytes(self.stdout), bytes(self.stderr)

    def _end(self) -> None:
        ended = time.monotonic_ns()
        self.read()  # now: whoever else holds the pipes may go on writing
        returncode = None
        with contextlib.suppress(ChildProcessError):
            returncode = self._child.look()
        with self.changed:
            self.returncode = returncode
            self.ended = ended
            self.changed.notify_all()

    @property
    def is_taken(self) -> bool:
        """Whether another wait has reaped the child: its pid may be anybody's by now."""
        return self.wait(0) and self.returncode is None

    def wait(self, seconds: float) -> bool:
        """Wait for the child's end; whether it has ended."""
        if self._thread is not None:
            with self.changed:
                return self.changed.wait_for(lambda: self.ended is not None, seconds)
        deadline = time.monotonic() + seconds
        while self.ended is None and not self._closed:
            left = deadline - time.monotonic()
            self._collect(max(0, left))
            if left <= 0:
                break
        return self.ended is not None

    def signal(self, signum: int) -> None:
        """Send a signal to the child; after its end nothing happens."""
        with self.changed:
            if self.ended is None:
                with contextlib.suppress(ProcessLookupError):
                    _system.pidfd_send_signal(self._pidfd, signum)

    def signal_group(self, signum: int) -> None:
        """Send a signal to the process group that the child was started in; after its end nothing happens."""
        with self.changed:
            if self.ended is None:  # so it isn't reaped, and the group's number is its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signum)

    def close(self) -> None:
        """Stop reading, and reap the child. One that could not be killed is left to itself."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            os.close(self._alarm)
            self._thread.join()
            os.close(self._wake)
        if self.ended is not None:
            self._child.wait()
        for stream, _ in self._streams.values():
            with contextlib.suppress(OSError):
                stream.close()
        os.close(self._pidfd)
