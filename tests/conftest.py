"""What all tests share."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
CHEAP = ("pytest-timeout", "pytest-xdist")  # plugins of others that cost a run next to nothing

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


@pytest.fixture(scope="session")
def loading():
    """A function that returns the variables by which a pytest run loads our plugin, cheap ones and those of others."""
    entries = {}
    for entry in entry_points(group="pytest11"):
        entries.setdefault(entry.dist.name.lower(), []).append(entry.name)

    def variables(*distributions):
        if missing := {*distributions} - {*entries}:
            pytest.skip(f"needs {', '.join(missing)}")
        names = [f"-p {name}" for each in (*CHEAP, *distributions) for name in entries.get(each, [])]
        return {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # All that is installed would take each run a second.
            "PYTEST_PLUGINS": "pytest_atexit.plugin",  # and not -p atexit, which pytest takes for the module at first
            "PYTEST_ADDOPTS": " ".join(["-p no:cacheprovider", *names]),
        }

    return variables


@pytest.fixture
def load(loading, monkeypatch):
    """A function that lets pytest runs of a test load the plugins of these distributions beside ours."""

    def only(*distributions):
        for name, value in loading(*distributions).items():
            monkeypatch.setenv(name, value)

    only()
    return only


@pytest.fixture
def autoload(load, monkeypatch):
    """Lets pytest runs of a test look for installed plugins and load ours by its entry point, beside the cheap."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    others = {each.name for each in entry_points(group="pytest11") if each.dist.name not in {*CHEAP, "pytest-atexit"}}
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(["-p no:cacheprovider", *(f"-p no:{name}" for name in others)]))


@pytest.fixture
def pytester(pytester, load):
    """As ever, and loads next to nothing into its pytest runs but the plugin."""
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
