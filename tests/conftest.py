"""What all tests share."""

import os
import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
OTHERS = ("asyncio", "pytest_cov", "randomly", "rerunfailures")  # plugins that only tests beside them load

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
def load(monkeypatch):
    """A function that lets pytest runs of a test load these plugins of others, and no further ones of OTHERS."""

    def only(*names):
        monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p no:{name}" for name in OTHERS if name not in names))

    return only


@pytest.fixture
def pytester(pytester, load):
    """As ever, and keeps the plugins of others out of its pytest runs, as addopts keep them out of this one."""
    load()
    return pytester


@pytest.fixture
def steady():
    """A function that takes out of a text what differs from run to run: pids, addresses, times, folders."""
    return _steady


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def lives():
    """A function that tells whether a process is there, and no zombie that nobody reaps."""
    return _lives


def _bears(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has just ended
        return False


@pytest.fixture
def marked():
    """A function that returns the pids of the living processes whose environment has a mark, wherever they went."""

    def find(mark: str) -> list[int]:
        pids = {int(folder.name) for folder in Path("/proc").glob("[0-9]*")} - {os.getpid()}
        return sorted(pid for pid in pids if _bears(pid, mark) and _lives(pid))

    return find
