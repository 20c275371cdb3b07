"""What the tests of the child share: a program as it is without us, and the same one recorded."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from outcomes import Outcome, outcome_of

from pytest_atexit import CapExit, ExitResult
from pytest_atexit._journal import Journal
from pytest_atexit._lines import Program

# Coverage changes what we observe (`os._exit` becomes a Python function, there is one more handler and a tracer), and
# the interpreter's own variables are those of the shell that runs the tests.
FOREIGN = ("PYTHON", "COVERAGE", "COV_CORE", "PYTEST")


def _as_from_a_shell() -> None:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


@pytest.fixture
def environment() -> dict[str, str | None]:
    """What makes an environment clean when it is laid over that of the tests."""
    return {name: None for name in os.environ if name.startswith(FOREIGN)}


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Saves a text as a script in a folder of its own, and returns its path."""

    def save(text: str, name: str = "program.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return save


@pytest.fixture
def plainly(tmp_path: Path, environment: dict[str, str | None]) -> Callable[..., Outcome]:
    """Runs a program, a script or a whole command line, as from a shell and without anything of ours."""

    def run(
        program: Path | Sequence[str | Path],
        *args: str,
        env: Mapping[str, str | None] | None = None,
        python_args: Sequence[str] = (),
        stdin: str = "",
        cwd: Path = tmp_path,
        timeout: float = 30,
    ) -> Outcome:
        script = isinstance(program, Path)
        command = [sys.executable, *python_args, program, *args] if script else [*program, *args]
        whole = {**os.environ, **environment, **(env or {})}
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in whole.items() if value is not None},
            cwd=cwd,
            preexec_fn=_as_from_a_shell,  # noqa: PLW1509, it takes no lock that a thread might hold
            start_new_session=True,
        )
        with process:
            try:
                stdout, stderr = process.communicate(stdin.encode(), timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # what it has started, too
                raise
        return Outcome.of(stdout, stderr, process.returncode)

    return run


@pytest.fixture
def recorded(capexit: CapExit, tmp_path: Path, environment: dict[str, str | None]) -> Callable[..., ExitResult]:
    """Runs a program, given as what `capexit.run` takes, in the same clean environment, and returns its result."""

    def run(program: Any, *args: object, env: Mapping[str, str | None] | None = None, **options: Any) -> ExitResult:
        options = {"cwd": tmp_path, "allow_failures": True, **options}
        return capexit.run(program, *args, env={**environment, **(env or {})}, **options)

    return run


@pytest.fixture
def same(plainly: Callable[..., Outcome], recorded: Callable[..., ExitResult]) -> Callable[..., ExitResult]:
    """Runs a program in both ways, which must not differ, and returns the result of the recorded one."""

    def compare(program: Any, *args: str, **options: Any) -> ExitResult:
        plain = plainly(program, *args, **options)
        result = recorded(program, *args, **options)
        assert outcome_of(result) == plain
        return result

    return compare


@pytest.fixture
def journals(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Program]]:
    """The journals of all programs that the test ran, each as it was when it was read last."""
    latest: dict[int, list[Program]] = {}
    real = Journal.programs

    def programs(journal: Journal) -> list[Program]:
        latest[id(journal)] = real(journal)
        return latest[id(journal)]

    monkeypatch.setattr(Journal, "programs", programs)
    return latest
