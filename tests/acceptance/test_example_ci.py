"""The demo in examples/ci: one session that shows all that CI can be told, with and without workers."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.slow  # each part has its own tests

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("options", [[], ["-n2"]], ids=["one process", "two workers"])
def test_it_shows_everything(
    pytester: pytest.Pytester, inner_tmpdir: Path, load: Callable[..., None], monkeypatch, options: list[str]
) -> None:
    """Summary, files, properties, annotations and the guard's warning; the JSON keeps to its schema."""
    jsonschema = pytest.importorskip("jsonschema")
    load("inline-snapshot", "pytest-html", "pytest-metadata", "pytest-reportlog")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    shutil.copytree(ROOT / "examples" / "ci", pytester.path, dirs_exist_ok=True)
    others = "--html=reports/tests.html", "--report-log=reports/log.jsonl"
    result = pytester.runpytest_subprocess(*options, *others)
    result.assert_outcomes(passed=7)
    assert result.ret == 0
    text = result.stdout.str()
    assert "\n4 runs: 30 handlers ran, 2 failed, 4 skipped" in text
    assert "skipped by SIGKILL (2):" in text
    assert "skipped by SIGTERM (2):" in text
    assert re.search(r"test_ci\.py::test_a_handler_is_left_in_pytest left a handler .*: _exit\(0\)", text)
    assert re.search(r"::warning file=shop\.py,line=\d+,title=exit handler flush_metrics failed::ConnectionError", text)
    assert re.search(r"::notice file=shop\.py,line=\d+,title=exit handler close_database skipped::", text)
    reports = pytester.path / "reports"
    report = json.loads((reports / "exits.json").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(report)
    assert len(report["runs"]) == 4
    assert {"exits.html", "tests.html", "log.jsonl"} <= {file.name for file in reports.iterdir()}
    names = {each.get("name") for each in ET.parse(reports / "junit.xml").iter("property")}
    assert {"atexit_runs", "atexit_ran", "atexit_failed", "atexit_skipped", "atexit_timeline"} <= names
