"""python -m pytest_atexit PROGRAM [ARG…]: run a program as ever, then print its exit timeline on stderr."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_atexit import _explain
from pytest_atexit._errors import LaunchError, PytestAtexitError, printable
from pytest_atexit._launch._agent import Agent
from pytest_atexit._launch._beside import BesideRun, Signals, end_as
from pytest_atexit._launch._invocation import Invocation, Options, invocation
from pytest_atexit._report._facts import run_facts
from pytest_atexit._report._files import check, write
from pytest_atexit._session import Session, new_folder

LINGER = 2.0  # seconds that recorded descendants may outlive the program before the timeline is printed
COMMAND = "python -m pytest_atexit"
SUFFIXES = (".py", ".pyw", ".pyz")  # of what this Python runs
NOT_STARTED = 127  # as a shell says it


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code; where a signal ended the program, we end by it, too."""
    parser, given = _parsed(arguments)
    files = {kind: os.path.abspath(path) for kind, path in (("json", given.json), ("html", given.html)) if path}
    try:
        for file in files.values():
            check(file)
    except OSError as error:
        parser.error(f"{file} can't be written: {error}")
    session = Session()
    try:
        agent = session.agent  # or a LaunchError, where programs can't be recorded
        made = _invocation(given.program, given.args, new_folder("run-", session.folder))
        with Signals() as signals:
            return _run(made, agent, signals, files)
    except PytestAtexitError as error:
        _say([f"{COMMAND}: {error}"])
        return NOT_STARTED
    finally:
        session.close()


def _parsed(arguments: Sequence[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Returns the command line, and what reports an error in it."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        usage=f"{COMMAND} [-h] [--json FILE] [--html FILE] PROGRAM [ARG...]",
        description="Run a program with its input and output untouched, and print its exit timeline on stderr.",
        epilog="The exit code is the program's; if a signal ended it, this ends by that signal, too.",
    )
    parser.add_argument("--json", metavar="FILE", help="write the run into a file, see docs/report.md")
    parser.add_argument("--html", metavar="FILE", help="write a page with the run")
    parser.add_argument(
        "program", metavar="PROGRAM", help="a .py or .pyz file, a folder with __main__.py, or a command"
    )
    rest = parser.add_argument("args", metavar="ARG", nargs=argparse.REMAINDER, help="what the program gets")
    rest.required = False  # or it were named where the program is missing
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        line = shlex.join([*unknown, given.program, *given.args])
        hint = f"; options of Python stand behind its name: {COMMAND} python {line}"
        parser.error(f"there is no option {unknown[0]}{'' if unknown[0].startswith('--') else hint}")
    for kind in ("json", "html"):
        path = getattr(given, kind)
        if path is not None and os.path.splitext(path)[1].lower() != f".{kind}":
            parser.error(f"--{kind}: a path that ends in .{kind} is needed, not {path!r}")
    return parser, given


def _run(made: Invocation, agent: Agent, signals: Signals, files: dict[str, str]) -> int:
    run = BesideRun.of(made, agent)
    try:
        signals.to(run)
        run.await_itself()
        result = run.story(LINGER)
        lines = ["", f"$ {run.command}"]
        if result:
            lines += _explain.story(result)
            lines += [f"left running: {_explain.listed(map(str, result.left_running))}"] if result.left_running else []
        else:
            lines += [f"status: {run.status}", "not recorded: nothing is known of its handlers"]
        _say(lines)
        facts = run_facts(
            key="main-1",
            test=None,
            command=run.command,
            cwd=run.invocation.cwd,
            status=run.status,
            result=result,
            is_over=True,
            failures_allowed=False,
            complete=True,
        )
        try:
            for kind, file in files.items():
                write(file, [facts], kind)
        except OSError as error:
            _say([f"{file} could not be written: {error}"])
        return run.status.returncode
    finally:
        run.leave()


def _invocation(program: str, args: Sequence[str], folder: Path) -> Invocation:
    path = Path(program)
    if (path.is_file() and path.suffix in SUFFIXES) or (path / "__main__.py").is_file():
        made = invocation(path, args, Options(), None, folder)
        return replace(made, argv=(made.argv[0], program, *args))  # the path as it was given, as Python gets it
    try:
        return invocation([program, *args], (), Options(), None, folder)
    except LaunchError:  # there is no such command
        if path.is_dir():
            raise LaunchError(f"the folder {program} has no __main__.py") from None
        if path.suffix in SUFFIXES:
            raise LaunchError(f"there is no file {program}") from None
        raise


def _say(lines: Sequence[str]) -> None:
    with contextlib.suppress(OSError, ValueError):  # the program's exit code counts, whoever listens
        sys.stderr.write(printable("\n".join(lines)) + "\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(end_as(main(sys.argv[1:])))
