"""Beside coverage: programs are measured as in a plain run, and its handler is in no list of names."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from coverage import CoverageData

from pytest_atexit import CapExit, Ending

Inner = Callable[..., pytest.RunResult]

APP = """\
import atexit, sys

def close():
    print("closed")

def never():
    print("never")

print(atexit._ncallbacks())
atexit.register(close)
"""
TEST = """
from pathlib import Path

def test_it(capexit):
    result = capexit.run(Path("app.py"))
    registered_before, closed = result.stdout.split()
    assert (int(registered_before), closed) == (result.unrecorded, "closed")
    assert result.unrecorded > 0
    assert (result.registered, result.ran) == (["close"], ["close"])
    assert [handler.origin for handler in result.handlers] == ["program"]
"""
CONFIG = "[run]\npatch = subprocess\n"
CORES = [
    "ctrace",
    pytest.param("sysmon", marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")),
]


@pytest.fixture(autouse=True)
def project(
    pytester: pytest.Pytester, inner_tmpdir: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[..., None]
) -> Path:
    """A folder with a program and its test, and no measurement but that of the test."""
    for name in os.environ:
        if name.startswith(("COVERAGE_", "COV_CORE_")):
            monkeypatch.delenv(name)
    load("pytest-cov")
    (pytester.path / "app.py").write_text(APP)
    (pytester.path / ".coveragerc").write_text(CONFIG)
    return pytester.path


def coverage(*args: str) -> str:
    """Run coverage as a user does, and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "coverage", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines_of(file: Path, data: str = ".coverage") -> set[int]:
    """Returns the lines of a file that were run, as coverage's data have them."""
    read = CoverageData(data)
    read.read()
    return set(read.lines(str(file)) or ())


def plain_lines(project: Path) -> set[int]:
    """Returns the lines of the program that are measured when another one starts it, without us."""
    (project / "plain.py").write_text("import subprocess, sys; subprocess.run([sys.executable, 'app.py'], check=True)")
    coverage("run", "--data-file=plain", "plain.py")
    coverage("combine", "--data-file=plain")
    return lines_of(project / "app.py", "plain")


def check_data(project: Path, temporary: Path) -> None:
    """The program's lines are measured, with those of its handler; nothing of ours is that is gone by now."""
    found = lines_of(project / "app.py")
    assert found == plain_lines(project)
    assert 4 in found  # the handler's
    data = CoverageData()
    data.read()
    assert not [file for file in data.measured_files() if file.startswith(str(temporary))]


@pytest.mark.parametrize("core", CORES)
def test_coverage_run(project: Path, inner_tmpdir: Path, monkeypatch: pytest.MonkeyPatch, core: str) -> None:
    """`coverage run -m pytest` with `patch = subprocess` measures the child, and `coverage report` reports it."""
    monkeypatch.setenv("COVERAGE_CORE", core)
    (project / "test_app.py").write_text(TEST)
    coverage("run", "-m", "pytest")
    coverage("combine")
    assert "app.py" in coverage("report")
    check_data(project, inner_tmpdir)


def test_pytest_cov(inner: Inner, project: Path, inner_tmpdir: Path) -> None:
    """`pytest --cov` does so too, with the same setting."""
    result = inner(TEST, "--cov=.")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["app.py *"])
    result.stderr.no_fnmatch_line("*CoverageWarning*")
    check_data(project, inner_tmpdir)


@pytest.mark.slow
def test_pytest_cov_with_workers(inner: Inner, project: Path, inner_tmpdir: Path) -> None:
    """Also in the workers of pytest-xdist."""
    result = inner(TEST, "--cov=.", "-n2")
    result.assert_outcomes(passed=1)
    check_data(project, inner_tmpdir)


@pytest.mark.parametrize(
    ("call", "ending"),
    [
        ("os._exit(3)", Ending.OS_EXIT),
        ("os.execvp('true', ['true'])", Ending.EXEC),
        ("os._exit(3, 4)", Ending.EXCEPTION),
    ],
)
def test_last_calls_that_coverage_patches(inner: Inner, project: Path, call: str, ending: Ending) -> None:
    """They end the program as they do without, and are known by the names that the program used."""
    (project / ".coveragerc").write_text("[run]\npatch = subprocess, _exit, execv, fork\n")
    (project / "app.py").write_text(f"import atexit, os\natexit.register(print)\n{call}\n")
    result = inner(
        f"""
        from pathlib import Path

        def test_it(capexit):
            result = capexit.run(Path("app.py"))
            assert str(result.ending) == {str(ending)!r}
            assert result.skipped == ["print"] * (str(result.ending) != "exception")
        """,
        "--cov=.",
    )
    result.assert_outcomes(passed=1)


def test_coverage_as_the_program(capexit: CapExit, project: Path) -> None:
    """`coverage run app.py` under the recorder: its own handler is recorded as coverage's, and in no list of names."""
    app = project / "app.py"
    result = capexit.run([sys.executable, "-m", "coverage", "run", "--rcfile=/dev/null", app], cwd=project)
    assert (result.registered, result.ran, result.skipped) == (["close"], ["close"], [])
    origins = [handler.origin for handler in result.timeline]
    assert "coverage" in origins
    assert {*origins} <= {"program", "coverage", "stdlib"}
    recorded = lines_of(app)
    coverage("run", "--rcfile=/dev/null", str(app))
    assert recorded == lines_of(app)
    assert recorded
