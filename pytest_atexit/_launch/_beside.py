"""A run outside of tests: the program has our own stdin, stdout and stderr, and we stand beside it until it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._popen import Child
from pytest_atexit._launch._run import Run
from pytest_atexit._launch._spawn import environment

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_atexit._journal import Journal
    from pytest_atexit._launch._agent import Agent
    from pytest_atexit._launch._invocation import Invocation, Stdin
    from pytest_atexit._result import ExitResult

PATIENCE = 5.0  # seconds in which the end is noticed that the kernel has told
PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Nobody:
    """Stands where the guardian is: a program that a user started outlives us as it would outlive a shell."""

    def watch(self, session: int) -> None:
        """Nothing."""

    def forget(self, session: int) -> None:
        """Nothing."""


class BesideRun(Run):
    """A program with our own standard streams. Make and await it with signals blocked, see `signals_blocked`."""

    @staticmethod
    def start(invocation: Invocation, journal: Journal, entry: Path, stdin: Stdin) -> subprocess.Popen[bytes]:
        """Start it in our process group if that is a terminal's, which signals it then; else in one of its own."""
        try:
            env = environment(invocation, journal, entry)
            return cast(
                "subprocess.Popen[bytes]",
                Child(invocation.argv, stdin=stdin, env=env, cwd=invocation.cwd, preexec_fn=_prepare),
            )
        except (OSError, ValueError) as error:
            raise LaunchError(f"{invocation.argv[0]} could not be started: {error}") from error

    @classmethod
    def of(cls, invocation: Invocation, agent: Agent) -> BesideRun:
        """Start a program."""
        return cls(invocation, agent, Nobody(), None, attended=True)  # type: ignore[arg-type]  # see Nobody

    def await_itself(self) -> None:
        """Wait for its end, and pass on signals that are sent to us alone."""
        is_shared = os.getpgid(self.pid) == os.getpgrp() if not self.ended else True
        while not self.ended:
            told = signal.sigwaitinfo((*PASSED_ON, signal.SIGCHLD))
            if told.si_signo != signal.SIGCHLD and not (is_shared and told.si_code > 0):
                self.signal(told.si_signo)  # what the kernel sends, it sends to the whole group of a terminal
            elif told.si_signo == signal.SIGCHLD and _has_ended(self.pid):
                self.output.wait(PATIENCE)

    def story(self, linger: float) -> ExitResult | None:
        """Returns the result, once it has ended, without what only its stderr could tell; None: it wasn't recorded."""
        result = self.result(self.await_descendants(linger))
        if result is None:
            return None
        if result.status.signal == signal.SIGABRT:
            reason = "SIGABRT: os.abort(), a C library's abort or a fatal error of the interpreter"
            return replace(result, ending=None, reason=reason if result.reason else None)
        if result.status.code == 1 and not result.timeline:  # sys.exit(1), or an exception
            return replace(result, ending=None)
        return result

    def leave(self) -> None:
        """Let go of it, and of what it has left running."""
        if not self._released:
            self._release()


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Signals wait for `await_itself`, unless who started us had them ignored."""
    wanted = [signum for signum in PASSED_ON if signal.getsignal(signum) is not signal.SIG_IGN]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [*wanted, signal.SIGCHLD])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_as(returncode: int) -> int:
    """End by the signal that ended a program; returns the exit code that is left where it exited or we can't."""
    if returncode >= 0:
        return returncode
    import resource  # noqa: PLC0415, for not every system has it

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError, ValueError):  # SIGKILL can't be set, and needn't be
        signal.signal(-returncode, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [-returncode])
    os.kill(os.getpid(), -returncode)
    return 128 - returncode


def _prepare() -> None:
    """In the child: signals are as they were for us, and a group of its own is made where no terminal needs ours."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [*PASSED_ON, signal.SIGCHLD])
    if not _is_foreground():
        os.setpgid(0, 0)


def _is_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
