"""CapExit: what the fixtures hand out. It runs programs and remembers them until its scope ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path

from pytest_atexit import _explain, _system
from pytest_atexit._ending import Ending
from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._agent import Agent
from pytest_atexit._launch._guardian import Guardian
from pytest_atexit._launch._invocation import Options, Program, Stdin, invocation
from pytest_atexit._launch._ports import Ports
from pytest_atexit._launch._run import Run
from pytest_atexit._launch._running import RunningProgram, check_timeout
from pytest_atexit._result import ExitResult

REPORTED = 10  # programs in the report of a failing test: the last ones


class Session:
    """What all fixtures of a session share, made when the first program is run.

    Args:
        on_start: is told of each program that was started.
    """

    def __init__(self, on_start: Callable[[RunningProgram], None] = lambda _: None) -> None:
        self.on_start = on_start

    @cached_property
    def folder(self) -> Path:
        """A folder for all temporary files."""
        return new_folder("pytest-atexit-")

    @cached_property
    def agent(self) -> Agent:
        """What children load; a LaunchError where programs can't be recorded."""
        _system.require()
        return Agent()

    @cached_property
    def guardian(self) -> Guardian:
        """Ends the programs if this process is killed."""
        return Guardian(self.folder, self.agent.folder)

    def close(self) -> None:
        """Leave nothing behind."""
        if "folder" in vars(self):
            shutil.rmtree(self.folder, ignore_errors=True)
        if "agent" in vars(self):
            self.agent.close()
        if "guardian" in vars(self):
            self.guardian.close()


def new_folder(prefix: str, parent: Path | None = None) -> Path:
    """Returns a new folder for temporary files, with mode 0700.

    Raises:
        LaunchError: there is no place for one.
    """
    try:
        if parent is not None and not os.path.isdir(parent):  # a test or a program may have emptied TMPDIR
            parent.mkdir(mode=0o700)
        return Path(os.path.abspath(tempfile.mkdtemp(prefix=prefix, dir=parent)))
    except OSError as error:
        msg = f"no folder for temporary files can be written to (see TMPDIR): {error}"
        raise LaunchError(msg) from error


class CapExit:
    """Runs programs in child interpreters and records what happens at their exit."""

    def __init__(self, session: Session, timeout: float, linger: float, must_run: Collection[Ending] = ()) -> None:
        self._session = session
        self._timeout = timeout
        self._linger = linger
        self._must_run = must_run
        self._ports = Ports()
        self._programs: list[RunningProgram] = []
        self._folders: list[Path] = []

    def run(
        self,
        program: Program,
        *args: object,
        ending: object = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | PathLike[str] | None = None,
        stdin: Stdin = None,
        python: str | PathLike[str] | None = None,
        python_args: Sequence[str] = (),
        timeout: float | None = None,
        allow_failures: bool = False,
        launcher: str | None = None,
    ) -> ExitResult:
        """Run a program to its end.

        Args:
            program: source text, a function, a path, or a list: a whole command line.
            args: of the command line; of the function, where it is one (plain data).
            ending: what is done behind the program's last statement, an Ending or its text.
            env: laid over the environment; None as a value removes a name.
            cwd: the working folder, by default that of the test.
            stdin: what it reads, by default nothing.
            python: another interpreter.
            python_args: flags for it.
            timeout: seconds, by default the configured ones.
            allow_failures: accept handlers that raised.
            launcher: "spawn": a fresh interpreter.

        Raises:
            LaunchError: nothing was started.
            NotRecorded: it ran, but no agent was in it.
            ProgramTimeout: it outlived the timeout and was killed.
            HandlerFailed: a handler raised.
            HandlerSkipped: a handler was skipped or unfinished that `must_run` under this ending.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args)
        check_timeout(timeout)
        started = self._start(program, args, options, launcher, ending, attended=True)
        return started.wait(timeout, allow_failures=allow_failures)

    def start(
        self,
        program: Program,
        *args: object,
        env: Mapping[str, str | None] | None = None,
        cwd: str | PathLike[str] | None = None,
        stdin: Stdin = None,
        python: str | PathLike[str] | None = None,
        python_args: Sequence[str] = (),
        launcher: str | None = None,
    ) -> RunningProgram:
        """Start a program and return at once. The arguments are those of `run`.

        Raises:
            LaunchError: nothing was started.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args)
        return self._start(program, args, options, launcher)

    def free_port(self) -> int:
        """Returns a port of 127.0.0.1 on which nobody listens, and which no parallel test process gets.

        Raises:
            LaunchError: there is none left.
        """
        _system.require()  # ports are of use where programs are, and reserved by means of Linux
        return self._ports.take()

    def _start(
        self,
        program: Program,
        args: Sequence[object],
        options: Options,
        launcher: str | None,
        ending: object = None,
        *,
        attended: bool = False,
    ) -> RunningProgram:
        __tracebackhide__ = True
        if launcher not in (None, "auto", "spawn"):
            msg = f"there is no launcher {launcher!r}; the launchers are 'auto' and 'spawn'"
            raise LaunchError(msg)
        try:
            session = self._session
            agent = session.agent
            folder = new_folder("run-", session.folder)
            self._folders.append(folder)
            prepared = invocation(program, args, options, ending, folder)
            run = Run(prepared, agent, session.guardian, options.stdin, attended=attended)
        except LaunchError as error:
            raise error.with_traceback(None)  # noqa: B904, for none of our frames tells the user anything
        running = RunningProgram(run, timeout=self._timeout, linger=self._linger, must_run=self._must_run)
        self._programs.append(running)
        session.on_start(running)
        return running

    # What follows is for the plugin.

    def unattended_failure(self) -> str:
        """Returns what is wrong with programs that ended by themselves and that nobody waited for."""
        return "\n\n".join(filter(None, (program.unattended_failure() for program in self._programs)))

    def report(self) -> str:
        """Returns what a failing test should show of its programs."""
        shown = self._programs[-REPORTED:]
        more = len(self._programs) - len(shown)
        texts = [_explain.report(p.result) if p.result else _unfinished(p) for p in shown]
        return "\n\n".join([f"(… {_explain.plural(more, 'program')} before)", *texts] if more else texts)

    def close(self) -> list[str]:
        """Leave nothing behind; returns a line for each program of which something had to be killed."""
        lines = []
        for program in self._programs:
            if killed := program.close():
                named = f"{'process' if len(killed) == 1 else 'processes'} {_explain.listed(map(str, killed))}"
                lines.append(f"killed at the end of the test: {named} of {program.command}")
        self._programs.clear()
        self._ports.close()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()
        return lines


def _unfinished(program: RunningProgram) -> str:
    return "\n".join(
        [repr(program), *_explain.output("stdout", program.stdout), *_explain.output("stderr", program.stderr)]
    )
