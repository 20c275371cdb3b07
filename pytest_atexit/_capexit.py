"""CapExit: what the fixtures hand out. It runs programs and remembers them until its scope ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial
from os import PathLike
from pathlib import Path

from pytest_atexit import _explain, _quiet, _system
from pytest_atexit._ending import Ending
from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._agent import Agent
from pytest_atexit._launch._arguments import check_timeout
from pytest_atexit._launch._fork import ForkServers
from pytest_atexit._launch._guardian import Guardian
from pytest_atexit._launch._invocation import Invocation, Options, Program, Stdin, invocation
from pytest_atexit._launch._launcher import Launcher
from pytest_atexit._launch._many import check_shared, distinct_endings, wait_for_all
from pytest_atexit._launch._namespace import NamespaceRefused
from pytest_atexit._launch._ports import Ports
from pytest_atexit._launch._run import Run
from pytest_atexit._launch._running import RunningProgram
from pytest_atexit._matrix import ExitMatrix
from pytest_atexit._result import ExitResult

REPORTED = 10  # programs in the report of a failing test: the last ones


class Session:
    """What all fixtures of a session share, made when the first program is run.

    Args:
        on_start: is told of each program that was started.
    """

    def __init__(self, on_start: Callable[[RunningProgram], None] = lambda _: None) -> None:
        self.on_start = on_start

    _spare: Path | None = None

    @cached_property
    def folder(self) -> Path:
        """A folder for all temporary files."""
        return new_folder("pytest-atexit-")

    def run_folder(self) -> Path:
        """Returns a new folder for a run."""
        spare, self._spare = self._spare, None
        return spare if spare is not None and os.path.isdir(spare) else new_folder("run-", self.folder)

    def prepare(self) -> None:
        """Make a folder for the next run, while a program starts: so that one needn't wait for it."""
        if self._spare is None:
            with contextlib.suppress(LaunchError):
                self._spare = new_folder("run-", self.folder)

    @cached_property
    def agent(self) -> Agent:
        """What children load; a LaunchError where programs can't be recorded."""
        _system.require()
        return Agent()

    @cached_property
    def guardian(self) -> Guardian:
        """Ends the programs if this process is killed."""
        return Guardian(self.folder, self.agent.folder)

    @cached_property
    def servers(self) -> ForkServers:
        """The fork servers."""
        return ForkServers(self.guardian)

    def close(self) -> None:
        """Leave nothing behind."""
        if "servers" in vars(self):
            self.servers.close()
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
    """Runs programs in child interpreters and records what happens at their exit.

    Args:
        session: what all of them share.
        timeout: seconds.
        linger: seconds.
        launcher: auto, spawn or fork.
        preload: modules that a fork server imports first.
        must_run: endings under which no handler may be skipped or unfinished.
        skip: what ends a test where the system can't do what it needs, with the reason.
    """

    def __init__(
        self,
        session: Session,
        timeout: float,
        linger: float,
        launcher: str = "auto",
        *,
        preload: tuple[str, ...] = (),
        must_run: Collection[Ending] = (),
        skip: Callable[[str], object] | None = None,
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._linger = linger
        self._launcher = launcher
        self._preload = preload
        self._must_run = must_run
        self._skip = skip
        self._ports = Ports()
        self._programs: list[RunningProgram] = []
        self._reports: list[Callable[[], str]] = []  # of programs, and of matrices with all of theirs
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
        as_pid1: bool = False,
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
            launcher: "spawn", a fresh interpreter; "fork", from a fork server; "auto", whichever suits the program.
            as_pid1: as PID 1 of a PID namespace, as in a container. Where the system allows none, the test is skipped.

        Raises:
            LaunchError: nothing was started.
            NotRecorded: it ran, but no agent was in it.
            ProgramTimeout: it outlived the timeout and was killed.
            HandlerFailed: a handler raised.
            HandlerSkipped: a handler was skipped or unfinished that `must_run` under this ending.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args, as_pid1=as_pid1)
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
        as_pid1: bool = False,
    ) -> RunningProgram:
        """Start a program and return at once. The arguments are those of `run`.

        Raises:
            LaunchError: nothing was started.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args, as_pid1=as_pid1)
        return self._start(program, args, options, launcher)

    def matrix(
        self,
        program: Program,
        *args: object,
        endings: Iterable[object] = tuple(Ending),
        env: Mapping[str, str | None] | None = None,
        cwd: str | PathLike[str] | None = None,
        stdin: str | bytes | None = None,
        python: str | PathLike[str] | None = None,
        python_args: Sequence[str] = (),
        timeout: float | None = None,
        allow_failures: bool = False,
        launcher: str | None = None,
    ) -> ExitMatrix:
        """Run a program once for each ending, as many at a time as there are cores. Other arguments are those of `run`.

        Args:
            program: as for `run`, but no command line.
            args: as for `run`.
            endings: what is done behind the last statement, each an Ending or its text; by default all there are.
            env: as for `run`, and so are the others.
            cwd: the programs share it, and all that they find in it.
            stdin: each of them reads all of it; so it is text or bytes and no open file.
            python: another interpreter.
            python_args: flags for it.
            timeout: seconds for each of them.
            allow_failures: accept handlers that raised.
            launcher: as for `run`.

        Returns:
            The results by their endings, in the order of `endings`.

        Raises:
            LaunchError: nothing was started.
            NotRecorded, ProgramTimeout, HandlerFailed: under some endings; all others were finished first.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args)
        check_timeout(timeout)
        wanted = distinct_endings(endings)
        check_shared(stdin)
        prepared = [self._prepared(program, args, options, ending) for ending in wanted]
        started: dict[Ending, RunningProgram] = {}
        self._reports.append(partial(_matrix_report, wanted, started))
        interrupted = threading.Event()

        def run(ending: Ending, prepared: Invocation) -> ExitResult:
            started[ending] = running = self._launched(prepared, stdin, launcher, attended=True)
            if interrupted.is_set():
                running.kill()
            return running.wait(timeout, allow_failures=allow_failures)

        def interrupt() -> None:
            interrupted.set()
            for each in [*started.values()]:
                each.kill()

        calls = {ending: partial(run, ending, each) for ending, each in zip(wanted, prepared, strict=True)}
        return wait_for_all(calls, interrupt)

    def assert_quiet_import(
        self,
        module: str,
        *,
        allow: Iterable[str] = (),
        env: Mapping[str, str | None] | None = None,
        cwd: str | PathLike[str] | None = None,
        python: str | PathLike[str] | None = None,
        python_args: Sequence[str] = (),
        timeout: float | None = None,
    ) -> None:
        """The import of a module, in a child, leaves no exit handler and no signal handler, and starts no thread.

        What the standard library registers for itself (`logging.shutdown`) doesn't count.

        Args:
            module: its name; it is found where the test finds it.
            allow: names of handlers (or of their modules), of signals and of threads that are accepted all the same;
                "native thread" for those that C code starts.
            env: as for `run`, and so are the others.
            cwd: the working folder.
            python: another interpreter.
            python_args: flags for it.
            timeout: seconds.

        Raises:
            AssertionError: it is not quiet; or it doesn't come to its end.
            LaunchError, NotRecorded, ProgramTimeout: as `run`.
        """
        __tracebackhide__ = True
        _quiet.check_names(module, allow)
        options = {"env": env, "cwd": cwd, "python": python, "python_args": python_args, "timeout": timeout}
        result = self.run(_quiet.PROGRAM.read_text(), module, allow_failures=True, **options)  # type: ignore[arg-type]
        if wrong := _quiet.verdict(module, result, allow):
            raise AssertionError(wrong)

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
        prepared = self._prepared(program, args, options, ending)
        running = self._launched(prepared, options.stdin, launcher, attended=attended)
        self._reports.append(partial(_report, running))
        return running

    def _prepared(self, program: Program, args: Sequence[object], options: Options, ending: object) -> Invocation:
        """Returns what to start, in a folder of its own."""
        __tracebackhide__ = True
        try:
            session = self._session
            _ = session.agent, session.guardian, session.servers  # by this thread, for several may start programs
            folder = session.run_folder()
            self._folders.append(folder)
            return invocation(program, args, options, ending, folder)
        except LaunchError as error:
            raise error.with_traceback(None)  # noqa: B904, for none of our frames tells the user anything

    def _launched(self, prepared: Invocation, stdin: Stdin, launcher: str | None, *, attended: bool) -> RunningProgram:
        __tracebackhide__ = True
        session = self._session
        way = Launcher(self._launcher if launcher is None else launcher, session.servers, self._preload)
        try:
            run = Run(prepared, way, session.agent, session.guardian, stdin, attended=attended)
        except LaunchError as error:
            if isinstance(error, NamespaceRefused) and self._skip:
                self._skip(str(error))
            raise error.with_traceback(None)  # noqa: B904, see above
        session.prepare()
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
        shown = self._reports[-REPORTED:]
        more = len(self._reports) - len(shown)
        texts = [report() for report in shown]
        return "\n\n".join([f"(… {_explain.plural(more, 'program')} before)", *texts] if more else texts)

    def close(self) -> list[str]:
        """Leave nothing behind; returns a line for each program of which something had to be killed."""
        lines = []
        for program in self._programs:
            if killed := program.close():
                named = f"{'process' if len(killed) == 1 else 'processes'} {_explain.listed(map(str, killed))}"
                lines.append(f"killed at the end of the test: {named} of {program.command}")
        self._programs.clear()
        self._reports.clear()
        self._ports.close()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()
        return lines


def _report(program: RunningProgram) -> str:
    return _explain.report(program.result) if program.result else _unfinished(program)


def _matrix_report(wanted: Iterable[Ending], started: Mapping[Ending, RunningProgram]) -> str:
    """Returns a table instead of a timeline for each of the programs."""
    results = {ending: result for ending in wanted if ending in started and (result := started[ending].result)}
    others = [_unfinished(program) for program in started.values() if not program.result]
    return "\n\n".join([*([ExitMatrix(results).report()] if results else []), *others])


def _unfinished(program: RunningProgram) -> str:
    output = [*_explain.output("stdout", program.stdout), *_explain.output("stderr", program.stderr)]
    return "\n".join([repr(program), *program.timeline(), *output])
