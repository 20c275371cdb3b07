"""The guardian: a process that ends what is left of our programs when pytest itself was killed."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

from pytest_atexit import _system
from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._popen import Child

PROGRAM = Path(__file__).parent / "_guard.py"
PATIENCE = 5.0  # seconds in which it must end after a session


class Guardian:
    """The parent's side of it. One for a session, which must be there before the first program is.

    It is told of the sessions of programs in shared memory, which costs one system call each and wakes nobody; it finds
    what left them by itself.

    Args:
        folder: what is removed in the end.
        agent: this likewise; its path is in the environment of all that the programs start.
    """

    def __init__(self, folder: Path, agent: Path) -> None:
        self._owner = os.getpid()
        with contextlib.ExitStack() as on_error, contextlib.ExitStack() as theirs:
            try:
                reader, self._pipe = os.pipe()
                theirs.callback(os.close, reader)
                on_error.callback(os.close, self._pipe)
                self._sessions = _system.memfd_create("pytest-atexit sessions")
                on_error.callback(os.close, self._sessions)
                pidfd = _system.pidfd_open(self._owner)
                theirs.callback(os.close, pidfd)
                self._pid = pid = _start([str(folder), str(agent)], reader, pidfd, self._sessions)
                self._pidfd = _system.pidfd_open(pid)
            except (OSError, ValueError) as error:
                msg = f"the guardian, which ends programs if pytest is killed, could not be started: {error}"
                raise LaunchError(msg) from error
            on_error.pop_all()

    def watch(self, session: int) -> None:
        """End what is in this session if pytest is gone."""
        os.pwrite(self._sessions, b"\1", session)

    def forget(self, session: int) -> None:
        """The program of this session is over."""
        os.pwrite(self._sessions, b"\0", session)

    def close(self) -> None:
        """Let it end."""
        if self._owner != os.getpid():  # A fork of pytest has come to its end: the session goes on.
            return
        os.close(self._pipe)
        os.close(self._sessions)
        end = select.poll()
        end.register(self._pidfd, select.POLLIN)
        end.poll(PATIENCE * 1000)
        _system.reap(self._pid, self._pidfd)  # It is a child of ours where pytest is PID 1 or a subreaper.
        os.close(self._pidfd)


def _start(args: list[str], pipe: int, *descriptors: int) -> int:
    """Returns the pid of the guardian."""
    # -I -S and an environment with nothing but what the interpreter needs to be loaded: it must not be found by what
    # ends processes by their environment, as CI systems do.
    command = [sys.executable, "-I", "-S", str(PROGRAM), *args, *map(str, descriptors)]
    with Child(
        command,
        stdin=pipe,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        env={name: value for name, value in os.environ.items() if name.startswith("LD_")},
        cwd="/",  # It keeps no file system busy.
        start_new_session=True,
    ) as starting:
        pid = starting.stdout.read() if starting.stdout else b""
    if not pid:
        msg = f"{sys.executable} ended with status {starting.returncode}"
        raise OSError(msg)
    return int(pid)
