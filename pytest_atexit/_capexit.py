"""CapExit: what the fixtures hand out. It runs programs and remembers them until its scope ends."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_atexit import _explain, _quiet, _system
from pytest_atexit._ending import Ending
from pytest_atexit._errors import LaunchError, printable
from pytest_atexit._launch._arguments import check_allowing, check_timeout
from pytest_atexit._launch._invocation import Invocation, Options, Program, Stdin, invocation
from pytest_atexit._launch._launcher import Launcher
from pytest_atexit._launch._many import check_shared, distinct_endings, longest_first, wait_for_all
from pytest_atexit._launch._namespace import NamespaceRefused
from pytest_atexit._launch._ports import Ports
from pytest_atexit._launch._run import Run
from pytest_atexit._launch._running import RunningProgram
from pytest_atexit._matrix import ExitMatrix
from pytest_atexit._result import ExitResult
from pytest_atexit._session import Session

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

    from pytest_atexit._commands import Answers

REPORTED = 10  # programs in the report of a failing test: the last ones


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
        fp: FakeProcess | None = None,
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
            fp: pytest-subprocess's fixture, which then answers for the commands that the program calls.

        Raises:
            LaunchError: nothing was started.
            NotRecorded: it ran, but no agent was in it.
            ProgramTimeout: it outlived the timeout and was killed.
            CommandNotRegistered: a command was called that `fp` doesn't know.
            HandlerFailed: a handler raised.
            HandlerSkipped: a handler was skipped or unfinished that `must_run` under this ending.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args, as_pid1=as_pid1)
        check_timeout(timeout)
        check_allowing(allow_failures)
        started = self._start(program, args, options, launcher, ending, attended=True, fp=fp)
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
        fp: FakeProcess | None = None,
    ) -> RunningProgram:
        """Start a program and return at once. The arguments are those of `run`.

        Raises:
            LaunchError: nothing was started.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args, as_pid1=as_pid1)
        return self._start(program, args, options, launcher, fp=fp)

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
        as_pid1: bool = False,
        fp: FakeProcess | None = None,
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
            as_pid1: as for `run`.
            fp: all of them share it, and what is registered for so many calls.

        Returns:
            The results by their endings, in the order of `endings`.

        Raises:
            LaunchError: nothing was started.
            NotRecorded, ProgramTimeout, HandlerFailed: under some endings; all others were finished first.
        """
        __tracebackhide__ = True
        options = Options(env=env, cwd=cwd, stdin=stdin, python=python, python_args=python_args, as_pid1=as_pid1)
        check_timeout(timeout)
        check_allowing(allow_failures)
        wanted = distinct_endings(endings)
        check_shared(stdin)
        order = longest_first(wanted)
        prepare = partial(self._prepared, program, args, options, launcher)
        first = prepare(order[0])  # refuses what can't be started, before anything is
        started: dict[Ending, RunningProgram] = {}
        self._reports.append(partial(_matrix_report, wanted, started))
        interrupted = threading.Event()

        def run(ending: Ending, way: Launcher, prepared: Invocation) -> ExitResult:
            started[ending] = running = self._launched(way, prepared, stdin, attended=True, fp=fp)
            if interrupted.is_set():
                running.kill()
            return running.wait(timeout, allow_failures=allow_failures)

        def interrupt() -> None:
            interrupted.set()
            for each in [*started.values()]:
                each.kill()

        self._session.agent.entry(first[1])  # compiled by this thread, for another interpreter
        others = ((ending, prepare(ending)) for ending in order[1:])  # while the first ones run
        calls = ((ending, partial(run, ending, *each)) for ending, each in chain([(order[0], first)], others))
        return wait_for_all(calls, wanted, interrupt)

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
            allow: names of handlers, of signals and of threads that are accepted all the same; of modules for all that
                they and their submodules leave; "native thread" for those that C code starts.
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
        allowed = _quiet.check_names(module, allow)
        check_timeout(timeout)
        options = Options(env=env, cwd=cwd, python=python, python_args=python_args)
        # By a fresh interpreter, for a fork server may have imported the module already.
        way, prepared = self._prepared(_quiet.PROGRAM.read_text(), [module], options, "spawn", None)
        running = self._launched(way, prepared, options.stdin, attended=True, is_ours=True)
        result = running.wait(timeout, allow_failures=True)
        if wrong := _quiet.verdict(module, result, running.registrants(), allowed):
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
        fp: FakeProcess | None = None,
    ) -> RunningProgram:
        __tracebackhide__ = True
        way, prepared = self._prepared(program, args, options, launcher, ending)
        running = self._launched(way, prepared, options.stdin, attended=attended, fp=fp)
        self._session.prepare()
        self._reports.append(partial(_report, running))
        return running

    def _prepared(
        self, program: Program, args: Sequence[object], options: Options, launcher: str | None, ending: object
    ) -> tuple[Launcher, Invocation]:
        """Returns how and what to start, in a folder of its own."""
        __tracebackhide__ = True
        try:
            session = self._session
            _ = session.agent, session.guardian  # made by this thread, for programs may be started by several
            way = Launcher(self._launcher if launcher is None else launcher, session.servers, self._preload)
            folder = session.run_folder()
            self._folders.append(folder)
            return way, invocation(program, args, options, ending, folder)
        except LaunchError as error:
            raise error.with_traceback(None)  # noqa: B904, for none of our frames tells the user anything

    def _launched(
        self,
        way: Launcher,
        prepared: Invocation,
        stdin: Stdin,
        *,
        attended: bool,
        fp: FakeProcess | None = None,
        is_ours: bool = False,
    ) -> RunningProgram:
        """Returns a started program; no policy and no report concerns one of ours."""
        __tracebackhide__ = True
        session = self._session
        try:
            answers = None if fp is None else self._answers(fp, prepared)
            run = Run(prepared, way, session.agent, session.guardian, stdin, attended=attended, answers=answers)
        except LaunchError as error:
            if isinstance(error, NamespaceRefused) and self._skip:
                self._skip(str(error))
            raise error.with_traceback(None)  # noqa: B904, see above
        must_run = () if is_ours else self._must_run
        running = RunningProgram(run, timeout=self._timeout, linger=self._linger, must_run=must_run)
        self._programs.append(running)
        if not is_ours:
            self._session.on_start(running)
        return running

    def _answers(self, fp: FakeProcess, prepared: Invocation) -> Answers:
        """Returns what answers for the commands of one program."""
        from pytest_atexit._commands import Answers, check_active  # noqa: PLC0415, few tests need it

        check_active(fp)
        agent = self._session.agent.entry(prepared)  # makes its folder anew, where that is gone
        return Answers(self._session.stubs(), prepared.env.get("PATH", os.defpath), str(agent))

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
                lines.append(printable(f"killed at the end of the test: {named} of {program.command}"))
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
    return printable("\n".join([repr(program), *program.timeline(), *output]))
