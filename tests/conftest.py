"""What all tests share."""

import re

import pytest

pytest_plugins = ["pytester"]

NOISE = [
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
    (re.compile(r"\b(process|pid) \d+"), r"\1 N"),
    (re.compile(r"\d+\.\d{3} s"), "T s"),
    (re.compile(r"\d+\.\d ms"), "T ms"),
    (re.compile(r"[^\s\"(]*/run-\w+/"), "RUN/"),
]


def _steady(text: object) -> str:
    lines = str(text)
    for pattern, replacement in NOISE:
        lines = pattern.sub(replacement, lines)
    return "\n".join(line.rstrip() for line in lines.splitlines())


@pytest.fixture
def steady():
    """A function that takes out of a text what differs from run to run: pids, addresses, times, folders."""
    return _steady
