"""Collects what a child writes, and notices its end: one thread for each child, which nothing can block."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from typing import IO

from pytest_atexit import _system

CHUNK = 1 << 16


class Output:
    """What a child has written so far, and how it ended.

    The child is not reaped before `close`: until then its pid, and that of its process group, can be nobody else's.
    Waiters hold `changed`; it is notified with each piece of output and with the end.

    Attributes:
        stdout: all that was read so far.
        stderr: likewise.
        stderr_pipe: what /proc shows for the pipe that stderr is read from, such as "pipe:[123]".
        returncode: as `Popen.returncode`, None while the child runs.
        ended: when that was noticed, in nanoseconds of the monotonic clock.
    """

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.returncode: int | None = None
        self.ended: int | None = None
        self.changed = threading.Condition()
        self._child = child
        self._streams: dict[int, tuple[IO[bytes], bytearray]] = {}
        assert child.stdout is not None
        assert child.stderr is not None
        for stream, into in ((child.stdout, self.stdout), (child.stderr, self.stderr)):
            os.set_blocking(stream.fileno(), False)
            self._streams[stream.fileno()] = stream, into
        self._thread = threading.Thread(target=self._collect, name=f"pytest-atexit output of {child.pid}", daemon=True)
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._abandon)
            self.stderr_pipe = os.readlink(f"/proc/self/fd/{child.stderr.fileno()}")
            self._pidfd = _system.pidfd_open(child.pid)
            on_error.callback(os.close, self._pidfd)
            self._wake, self._alarm = os.pipe()
            on_error.callback(os.close, self._wake)
            on_error.callback(os.close, self._alarm)
            self._thread.start()
            on_error.pop_all()

    def _abandon(self) -> None:
        """End the child, whose output can't be collected. It is just being started, and so is all of its group."""
        os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for stream, _ in self._streams.values():
            stream.close()

    def _collect(self) -> None:
        poll = select.poll()
        for descriptor in (*self._streams, self._pidfd, self._wake):
            poll.register(descriptor, select.POLLIN)
        while self._streams or self.ended is None:
            ready = {descriptor for descriptor, _ in poll.poll()}
            for descriptor in ready & self._streams.keys():
                if not self._read(descriptor):
                    poll.unregister(descriptor)
                    self._streams.pop(descriptor)[0].close()
            if self._pidfd in ready:
                poll.unregister(self._pidfd)
                self._end()
            if self._wake in ready:
                return

    def _read(self, descriptor: int) -> bool:
        """Take what is there; False at the end of the file."""
        into = self._streams[descriptor][1]
        while True:
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            with self.changed:
                into += data
                self.changed.notify_all()

    def _end(self) -> None:
        ended = time.monotonic_ns()
        for descriptor in list(self._streams):  # whoever else holds the pipes may go on writing
            self._read(descriptor)
        returncode = _system.returncode_of(self._child.pid)
        with self.changed:
            self.returncode = returncode
            self.ended = ended
            self.changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait for the child's end; whether it has ended."""
        with self.changed:
            return self.changed.wait_for(lambda: self.ended is not None, seconds)

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
        if self._alarm < 0:
            return
        os.close(self._alarm)
        self._alarm = -1
        self._thread.join()
        if self.ended is not None:
            self._child.wait()
        for stream, _ in self._streams.values():
            with contextlib.suppress(OSError):
                stream.close()
        os.close(self._wake)
        os.close(self._pidfd)
