"""Runs one program in several ways: plainly, recorded by `run`, and recorded by hand, without `run`'s own work."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_atexit import CapExit, Ending, ExitMatrix, ExitResult
from pytest_atexit._journal import Journal
from pytest_atexit._launch._invocation import Options, invocation
from pytest_atexit._launch._spawn import spawn
from pytest_atexit._session import Session

FOREIGN = ("PYTHON", "COVERAGE", "COV_CORE")  # variables that change what an interpreter does at its start
LINGER = 2.0  # seconds, as by default
TIMEOUT = 600.0  # seconds; valgrind makes a program fifty times as slow


@dataclass(frozen=True)
class Bench:
    """One interpreter in one environment.

    Attributes:
        python: its path.
        env: what is laid over the environment of the benchmark; None removes a name.
        folder: for programs and other files.
        session: holds the agent, compiled for the interpreter.
        capexit: runs programs as a test would.
        implementation: what its `sys.implementation.name` is.
    """

    python: str
    env: dict[str, str | None]
    folder: Path
    session: Session
    capexit: CapExit
    implementation: str

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a plain run."""
        return {name: value for name, value in {**os.environ, **self.env}.items() if value is not None}

    def script(self, name: str, text: str) -> Path:
        """Returns the path of a program with this text."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def plain(self, *command: object) -> subprocess.CompletedProcess[bytes]:
        """Runs a command as anybody would."""
        texts = list(map(str, command))
        return self._checked(subprocess.run(texts, capture_output=True, env=self.environment, check=False))

    def recorded(
        self,
        program: Path | list[str],
        env: dict[str, str] | None = None,
        *,
        launcher: str = "spawn",
        ending: Ending | None = None,
        capexit: CapExit | None = None,
    ) -> ExitResult:
        """Runs a program as a test would."""
        python = None if isinstance(program, list) else self.python
        options = {**self.env, **(env or {})}
        run = (capexit or self.capexit).run
        return run(program, python=python, env=options, timeout=TIMEOUT, launcher=launcher, ending=ending)

    def matrix(self, program: Path, launcher: str, endings: Sequence[Ending]) -> ExitMatrix:
        """Runs a program once for each ending, in parallel."""
        return self.capexit.matrix(
            program, python=self.python, env=self.env, timeout=TIMEOUT, launcher=launcher, endings=endings
        )

    def preloaded(self, modules: tuple[str, ...]) -> CapExit:
        """As `capexit`, with a fork server that has imported these modules."""
        return CapExit(self.session, timeout=TIMEOUT, linger=LINGER, preload=modules)

    def require(self, module: str, error: type[Exception]) -> None:
        """Raises the error if the interpreter can't import a module."""
        if subprocess.run([self.python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            raise error(f"{module} is not installed for {self.python}")

    def child(self, program: Path) -> None:
        """Starts a program as `recorded` does, and waits for it as `plain` does: nobody reads the record."""
        prepared = invocation(program, (), Options(env=self.env, python=self.python), None, self.folder)
        journal = Journal()
        try:
            spawn(prepared, journal.path, self.session.agent.entry(prepared), None).communicate()
        finally:
            journal.close()

    @staticmethod
    def _checked(done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[bytes]:
        if done.returncode:
            raise SystemExit(f"{done.args} failed:\n{done.stderr.decode(errors='replace')}")
        return done


@contextmanager
def bench(python: str, *, bytecode: bool, warm: bool = True) -> Iterator[Bench]:
    """Prepares an interpreter, with or without PYTHONDONTWRITEBYTECODE, and leaves nothing behind."""
    env: dict[str, str | None] = {name: None for name in os.environ if name.startswith(FOREIGN)}
    if not bytecode:
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    session = Session()
    capexit = CapExit(session, timeout=TIMEOUT, linger=LINGER)
    try:
        with tempfile.TemporaryDirectory(prefix="pytest-atexit-benchmarks-") as folder:
            made = Bench(python, env, Path(folder), session, capexit, _implementation(python))
            if warm:  # compiles the agent, as the first run of a session does
                made.recorded(made.script("warm_up.py", ""))
            yield made
    finally:
        capexit.close()
        session.close()


def _implementation(python: str) -> str:
    show = "import sys; print(sys.implementation.name)"
    return subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()


def seconds(action: Callable[[], object]) -> float:
    """Returns how long something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
