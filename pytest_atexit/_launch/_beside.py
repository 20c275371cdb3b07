"""A run outside of tests: the program has our own stdin, stdout and stderr, and we stand beside it until it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._popen import Child
from pytest_atexit._launch._run import Run
from pytest_atexit._launch._spawn import environment

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from pytest_atexit._launch._agent import Agent
    from pytest_atexit._launch._invocation import Invocation, Stdin
    from pytest_atexit._result import ExitResult

PATIENCE = 3600.0  # seconds of each wait, after which there is another one
OF_TERMINALS = ("SIGINT", "SIGQUIT", "SIGHUP")  # which it sends to its whole foreground group
PASSED_ON = (*OF_TERMINALS, "SIGTERM", "SIGUSR1", "SIGUSR2")


class Nobody:
    """Stands where the guardian is: a program that a user started outlives us as it would outlive a shell."""

    def watch(self, session: int) -> None:
        """Nothing."""

    def forget(self, session: int) -> None:
        """Nothing."""


class Beside:
    """The launcher of it."""

    def launch(self, invocation: Invocation, journal: str, entry: Path, stdin: Stdin) -> Child:
        """Start it in our process group if that is a terminal's, which signals it then; else in one of its own."""
        try:
            env = environment(invocation, journal, entry)
            own_group = None if _is_foreground() else _lead_group
            assert stdin is None  # our own
            return Child(invocation.argv, stdin=stdin, env=env, cwd=invocation.cwd, preexec_fn=own_group)
        except (OSError, ValueError) as error:
            raise LaunchError(f"{invocation.argv[0]} could not be started: {error}") from error


class BesideRun(Run):
    """A program with our own standard streams. Make it and wait for it within `Signals`."""

    @classmethod
    def of(cls, invocation: Invocation, agent: Agent) -> BesideRun:
        """Start a program."""
        return cls(invocation, Beside(), agent, Nobody(), None, attended=True)  # type: ignore[arg-type]  # see both

    def await_itself(self) -> None:
        """Wait for its end."""
        while not self.output.wait(PATIENCE):
            pass

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


class Signals:
    """Within the block signals that reach us go on to the program, but for those that it has from its terminal.

    What is ignored stays ignored, and the program inherits that.
    """

    # A thread reads their numbers, as they come, from the wakeup descriptor: the interpreter calls handlers between two
    # steps of the main thread, so one that comes just before a wait would be passed on behind it.

    def __enter__(self) -> Self:
        self._numbers, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        self._wakeup_before = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        known = [signal.Signals[name] for name in PASSED_ON]
        wanted = [signum for signum in known if signal.getsignal(signum) is not signal.SIG_IGN]
        self._before = {signum: signal.signal(signum, _handled_elsewhere) for signum in wanted}
        self._thread: threading.Thread | None = None
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._wakeup)  # which ends the thread
        if self._thread is not None:
            self._thread.join()
        os.close(self._numbers)

    def to(self, run: BesideRun) -> None:
        """From now on this is the program: what came before goes to it, too."""
        known_to_it = OF_TERMINALS if os.getpgid(run.pid) == os.getpgrp() else ()
        self._thread = threading.Thread(target=self._pass_on, args=(run, known_to_it), daemon=True)
        self._thread.start()

    def _pass_on(self, run: BesideRun, known_to_it: tuple[str, ...]) -> None:
        while numbers := os.read(self._numbers, 100):
            for signum in numbers:
                if signal.Signals(signum).name not in known_to_it:
                    run.signal(signum)


def _handled_elsewhere(_signum: int, _frame: object) -> None:
    """A signal needs a handler to be told by the wakeup descriptor."""


def end_as(returncode: int) -> int:
    """End by the signal that ended a program; returns the exit code that is left where it exited or we can't."""
    if returncode >= 0:
        return returncode
    import resource  # noqa: PLC0415, for not every system has it

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError, ValueError):  # SIGKILL can't be set, and needn't be
        signal.signal(-returncode, signal.SIG_DFL)
    os.kill(os.getpid(), -returncode)
    return 128 - returncode


def _lead_group() -> None:
    """In the child, which got what our group got until now; it is told once only."""
    signal.set_wakeup_fd(-1)
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
