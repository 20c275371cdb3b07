"""`python -m benchmarks`: that it measures something, not how much."""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent

# Where coverage measures the tests, it would slow down both sides here.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_CORE"))}
MARKED = "before\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nbehind\n"


def benchmarks(*options):
    """Runs it as a user would, with as few measurements as there can be; returns what it prints."""
    command = [sys.executable, "-m", "benchmarks", "--pairs", "1", *map(str, options)]
    done = subprocess.run(command, cwd=PROJECT, env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(text):
    """Returns the lines of all tables by their first cells."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rows, heads = {}, ()
    for index, line in enumerate(lines):
        if index + 1 < len(lines) and lines[index + 1][0].strip("-") == "":
            heads = line
        elif line[0].strip("-"):
            rows[line[0]] = dict(zip(heads, line, strict=True))
    return rows


def measure(tmp_path, *options):
    """Returns the lines of the tables by their first cells, and the figures."""
    file = tmp_path / "figures.json"
    return tables(benchmarks("--json", file, *options)), json.loads(file.read_text())


def test_each_row_has_a_number_with_and_without_bytecode(tmp_path):
    """The quickest rows, one pair each, of the interpreter that runs the tests; a README gets the short table."""
    readme = tmp_path / "README.md"
    readme.write_text(MARKED)
    table, figures = measure(tmp_path, "--rows", "spawn", "memory", "--into", readme)
    assert list(table) == ["spawn", "spawn (no bytecode)", "memory", "memory (no bytecode)"]
    for line in table.values():
        assert re.fullmatch(r"\+?-?\d+\.\d{3}", line["measured"])
        assert re.match(r"ok|above the must", line["how far"])
    assert [(each["row"], each["bytecode"], each["pairs"]) for each in figures["rows"]] == [
        ("spawn", True, 1), ("spawn", False, 1), ("memory", True, 1), ("memory", False, 1)
    ]  # fmt: skip
    assert all(each["plain"] > 0 for each in figures["rows"])
    written = readme.read_text()
    assert re.match(r"before\n<!-- benchmarks: begin -->\n\nMeasured on \d{4}-\d\d-\d\d with ", written)
    assert written.endswith("\n<!-- benchmarks: end -->\nbehind\n")
    assert [(line["measured"], line["must"]) for line in tables(written).values()] == [
        (table[name]["measured"], table[name]["must"]) for name in ("spawn", "memory")
    ]


@pytest.mark.slow
def test_tools_run_the_same_program(tmp_path):
    """Each says what a run costs, and all handlers ran; one that isn't installed is named."""
    options = ["--tools", "pytest-atexit, fork", "pytest-insubprocess", "--rounds", "1", "--runs", "2"]
    _, figures = measure(tmp_path, *options)
    measured = [each for each in figures["tools"] if each["program"] == "three handlers"]
    assert [each["peer"] for each in measured] == ["subprocess.run", "pytest-atexit, fork", "pytest-insubprocess"]
    for each in measured[:2]:
        assert (each["note"], each["handlers"]) == ("", 3)
        assert each["each"] is not None
    missing = measured[2]
    assert missing["note"] == "not installed" or missing["version"]


def test_picture_shows_each_way(tmp_path):
    """It is a picture with two diagrams, in which each of the ways has its line."""
    file = tmp_path / "cost.svg"
    benchmarks("--plot", file, "--most", "10")
    texts = [element.text for element in ET.parse(file).iter() if element.tag.endswith("text")]
    assert [texts.count(way) for way in ("subprocess.run", "run, spawn", "run, fork")] == [2, 2, 2]
    assert {"milliseconds, logarithmic", "seconds, logarithmic"} <= {*texts}


@pytest.mark.slow
def test_all_other_rows_can_be_measured(tmp_path):
    """Each has a number, or says why there is none; what is left out here is measured above, or takes minutes."""
    rows = ["fork", "flask", "handlers", "idle", "matrix", "matrix-fork", "memory-10000"]
    table, _ = measure(tmp_path, "--rows", *rows)
    assert [name for name in table if "(" not in name] == rows
    for line in table.values():
        assert line["measured"] or re.match(r"skipped: \S", line["how far"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
def test_instructions_are_counted(tmp_path):
    """A plain program and a recorded one: more than none, and more with the agent than without."""
    _, figures = measure(tmp_path, "--rows", "instructions")
    assert all(each["plain"] > 1_000_000 and each["value"] > 1 for each in figures["rows"])
