"""What the acceptance tests share: an inner pytest run with the plugin, in a process of its own."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_subprocess import FakeProcess

from pytest_atexit import CapExit, ExitResult

Inner = Callable[..., pytest.RunResult]

HEADING = re.compile(r"^[-_=]{3,} .* [-_=]{3,}$")


@pytest.fixture
def inner_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of inner runs, which is theirs alone."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def inner(pytester: pytest.Pytester, inner_tmpdir: Path, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """A function that runs a test file by pytest in a process of its own, which prints the same wherever it runs."""
    for name in "CI", "BUILD_NUMBER", "GITHUB_ACTIONS":  # pytest doesn't shorten its summary there, and we annotate.
        monkeypatch.delenv(name, raising=False)

    def run(source: str, *options: str, timeout: float = 50) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess(*options, timeout=timeout)

    return run


@pytest.fixture
def sections() -> Callable[[pytest.RunResult, str], list[str]]:
    """A function that returns the texts of all report sections of a name, in their order."""

    def of(result: pytest.RunResult, name: str = "capexit") -> list[str]:
        found: list[list[str]] = []
        inside = False
        for line in result.outlines:
            if HEADING.match(line):
                inside = line.strip("-") == f" {name} "
                if inside:
                    found.append([])
            elif inside:
                found[-1].append(line)
        return ["\n".join(lines) for lines in found]

    return of


@pytest.fixture
def answered(capexit: CapExit, fp: FakeProcess) -> Callable[..., ExitResult]:
    """A function that runs a program for whose commands pytest-subprocess answers."""

    def run(program: object, *args: object, **options: object) -> ExitResult:
        return capexit.run(program, *args, fp=fp, **options)

    return run
