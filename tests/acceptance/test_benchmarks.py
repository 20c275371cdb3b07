"""`python -m benchmarks`: that it measures something, not how much."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent

# Where coverage measures the tests, it would slow down both sides here.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_CORE"))}


def measure(tmp_path, *rows):
    """Runs one pair of each row, and returns the lines of the table by row and the figures."""
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--pairs", "1", "--json", file, "--rows", *rows]
    done = subprocess.run(command, cwd=PROJECT, env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    return {line[0]: dict(zip(lines[0], line, strict=False)) for line in lines[2:]}, json.loads(file.read_text())


def test_each_row_has_a_number_with_and_without_bytecode(tmp_path):
    """The quickest rows, one pair each, of the interpreter that runs the tests."""
    table, figures = measure(tmp_path, "spawn", "memory")
    assert list(table) == ["spawn", "spawn (no bytecode)", "memory", "memory (no bytecode)"]
    for line in table.values():
        assert re.fullmatch(r"\+?-?\d+\.\d{3}", line["measured"])
        assert re.match(r"ok|above the must", line["verdict"])
    assert [(each["row"], each["bytecode"], each["pairs"]) for each in figures] == [
        ("spawn", True, 1), ("spawn", False, 1), ("memory", True, 1), ("memory", False, 1)
    ]  # fmt: skip
    assert all(each["plain"] > 0 for each in figures)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
def test_instructions_are_counted(tmp_path):
    """A plain program and a recorded one: more than none, and more with the agent than without."""
    _, figures = measure(tmp_path, "instructions")
    assert all(each["plain"] > 1_000_000 and each["value"] > 1 for each in figures)
