"""What other reports get of programs: JUnit XML, pytest-reportlog, pytest-html, and annotations of GitHub Actions."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.slow  # each of its own runs loads all of them

Inner = Callable[..., pytest.RunResult]
Load = Callable[..., None]

SUITE = """
import atexit

def flush():
    raise OSError("disk: 100 % full")

def close():
    pass

def program():
    atexit.register(close)
    atexit.register(flush)

def test_fails_quietly(capexit):
    capexit.run(program, allow_failures=True)

def test_killed(capexit):
    capexit.run("import atexit; atexit.register(print)")
    capexit.run(program, ending="SIGKILL")

def test_without():
    pass
"""

FAILS = """
def test_fails(capexit):
    capexit.run(program)
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "two workers"])
def test_each_test_has_the_timelines_of_its_programs(
    inner: Inner, load: Load, tmp_path: Path, workers: list[str]
) -> None:
    """As properties in JUnit XML and in the report log, and as text in pytest-html's page."""
    load("pytest-html", "pytest-metadata", "pytest-reportlog")
    files = xml, log, page = tmp_path / "x.xml", tmp_path / "x.jsonl", tmp_path / "x.html"
    options = [f"{option}={file}" for option, file in zip(("--junitxml", "--report-log", "--html"), files, strict=True)]
    inner(SUITE, *options, "--self-contained-html", *workers).assert_outcomes(passed=3)
    cases = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in ET.parse(xml).iter("testcase")
    }
    logged = {
        report["nodeid"].rpartition("::")[2]: dict(report["user_properties"])
        for report in map(json.loads, log.read_text(encoding="utf-8").splitlines())
        if report.get("when") == "teardown"
    }
    assert cases == logged
    assert cases["test_without"] == {}
    failed, killed = cases["test_fails_quietly"], cases["test_killed"]
    assert [failed[f"atexit_{name}"] for name in ("runs", "ran", "failed")] == ["1", "2", "flush"]
    assert [killed[f"atexit_{name}"] for name in ("runs", "ran", "skipped")] == ["2", "1", "close, flush"]
    assert float(failed["atexit_exit_seconds"]) > 0
    assert "failed  flush()" in failed["atexit_timeline"]
    assert killed["atexit_timeline"].count("exit timeline of process") == 2
    assert page.read_text(encoding="utf-8").count("exit timeline of process") == 3


def test_github_gets_the_lines_that_registered(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed handlers are warnings, skipped ones and those that may fail notices; in the repository, once each."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    result = inner(SUITE + FAILS, "-q")
    result.assert_outcomes(passed=3, failed=1)
    file = "test_github_gets_the_lines_that_registered.py"
    lines = SUITE.strip().splitlines()
    close, flush = (1 + lines.index(f"    atexit.register({name})") for name in ("close", "flush"))
    failed = f"OSError: disk: 100 %25 full ({file}::test_fails"
    skipped = f"skipped by SIGKILL ({file}::test_killed)"
    assert [line for line in result.outlines if "::warning" in line or "::notice" in line] == [
        f"::warning file={file},line={flush},title=exit handler flush failed::{failed})",
        f"::notice file={file},line={flush},title=exit handler flush failed::{failed}_quietly)",
        f"::notice file={file},line={close},title=exit handler close skipped::{skipped}",
        f"::notice file={file},line={flush},title=exit handler flush skipped::{skipped}",
    ]
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    inner(SUITE).stdout.no_fnmatch_line("::*")
