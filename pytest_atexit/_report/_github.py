"""Annotations of GitHub Actions: lines on stdout that mark lines of a change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pytest_atexit._errors import printable
from pytest_atexit._report._facts import RunFacts
from pytest_atexit._report._summary import Problem, cause_of, problems

WARNING, NOTICE = "warning", "notice"  # no error: the tests decide about those
STATES = "failed", "unfinished", "skipped"
SHOWN = 10  # of each level: GitHub shows no more of one step


def marks_of(runs: Sequence[RunFacts], root: str) -> list[str]:
    """Returns a line for each handler that failed, didn't finish or was skipped, at the line that registered it.

    Args:
        runs: whatever was run.
        root: the folder of the repository; a handler of a file outside, or of source text in a test, has no line in it.
    """
    found: dict[str, dict[str, None]] = {WARNING: {}, NOTICE: {}}
    for state in STATES:
        for problem in problems(runs, state):
            level = _level(problem)
            for file, line in _site(problem, root):
                where = f"file={_escaped(file, ':,')},line={line},title={_escaped(_title(problem), ':,')}"
                found[level][f"::{level} {where}::{_escaped(_text(problem))}"] = None
    return [line for lines in found.values() for line in list(lines)[:SHOWN]]


def _level(problem: Problem) -> str:
    state = problem.handler["state"]
    return NOTICE if state == "skipped" or (state == "failed" and problem.run["failures_allowed"]) else WARNING


def _site(problem: Problem, root: str) -> Iterator[tuple[str, str]]:
    name, _, line = problem.handler["where"].rpartition(":")
    path = os.path.join(problem.run["cwd"], name)
    inside = os.path.relpath(path, root)
    if name and os.path.isfile(path) and not inside.startswith(os.pardir):
        yield inside.replace(os.sep, "/"), line


def _title(problem: Problem) -> str:
    return f"exit handler {problem.handler['name']} {problem.handler['state']}"


def _text(problem: Problem) -> str:
    error = problem.handler["exception"]
    why = f"{error['type']}: {error['message']}" if error else f"{problem.handler['state']} {cause_of(problem)}"
    return f"{why} ({problem.run['test']})"


def _escaped(text: str, more: str = "") -> str:
    """Returns text as GitHub's toolkit escapes it; in a property, colons and commas, too."""
    text = printable(text)
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
