"""The only reader of the command line, the ini file and the marker."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_atexit._ending import Ending

LAUNCHERS = ("auto", "spawn", "fork")  # as in _launch/_launcher.py, which every session would have to import
GUARD = ("off", "warn", "error")


class Option(NamedTuple):
    """An option, as the command line, the ini file and perhaps the marker have it.

    Attributes:
        default: where none of them says anything.
        metavar: what stands for its value.
        text: what it is for.
        read: makes a setting of the value, given also where that comes from; raises a pytest.UsageError.
        of_tests: the marker has it, too.
    """

    default: str
    metavar: str
    text: str
    read: Callable[[str, object], object]
    of_tests: bool = True


class Settings(NamedTuple):  # and no dataclass, which takes longer to make: every session imports this
    """How programs are run, and what is asked of them.

    Attributes:
        timeout: seconds.
        linger: seconds.
        launcher: one of LAUNCHERS.
        preload: modules that a fork server imports first.
        guard: one of GUARD.
        must_run: endings under which no handler may be skipped or unfinished.
        report: absolute paths of files.
    """

    timeout: float
    linger: float
    launcher: str
    preload: tuple[str, ...]
    guard: str
    must_run: tuple[Ending, ...]
    report: tuple[str, ...]


def _seconds(source: str, value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds < float("inf"):
        msg = f"{source}: a number of seconds is needed, not {value!r}"
        raise pytest.UsageError(msg)
    return seconds


def _one_of(choices: tuple[str, ...]) -> Callable[[str, object], str]:
    def read(source: str, value: object) -> str:
        if value not in choices:
            raise pytest.UsageError(f"{source}: one of {', '.join(choices)} is needed, not {value!r}")
        return str(value)

    return read


def _modules(source: str, value: object) -> tuple[str, ...]:
    """Returns the names of a text, where they are separated by spaces or commas, or of a list."""
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise pytest.UsageError(f"{source}: names of modules are needed, not {value!r}")
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise pytest.UsageError(f"{source}: {name!r} is no name of a module")
    return tuple(names)


def _endings(source: str, value: object) -> tuple[Ending, ...]:
    """Returns the endings of a text, where they are separated by spaces, or of a list."""
    if not value:
        return ()
    from pytest_atexit._ending import as_ending  # noqa: PLC0415, for few sessions need it
    from pytest_atexit._errors import LaunchError  # noqa: PLC0415, likewise

    if isinstance(value, str):
        value = [text.replace("\n", " ") for text in re.findall(r"(?i:fatal[ _-]error)|[^\s,]+", value)]
    try:
        return tuple(dict.fromkeys(map(as_ending, value)))  # type: ignore[call-overload]  # what isn't one raises
    except (LaunchError, TypeError) as error:
        raise pytest.UsageError(f"{source}: {error}") from None


def _reports(source: str, value: object) -> tuple[str, ...]:
    """Returns the paths of a list, or of a text with one on each line."""
    given = value if isinstance(value, list) else str(value).split("\n")
    for path in filter(None, given):
        if os.path.splitext(path)[1].lower() not in (".json", ".html"):
            raise pytest.UsageError(f"{source}: a path that ends in .json or .html is needed, not {path!r}")
    paths = (os.path.abspath(os.path.expandvars(os.path.expanduser(path.strip()))) for path in filter(None, given))
    return tuple(dict.fromkeys(paths))


OPTIONS = {
    "timeout": Option("30", "SECONDS", "after so long a program is killed, and its test fails", _seconds),
    "linger": Option("2", "SECONDS", "so long may a program's descendants outlive it before it has a result", _seconds),
    "launcher": Option("auto", "NAME", "how programs are started: auto, spawn or fork", _one_of(LAUNCHERS)),
    "preload": Option("", "MODULES", "modules that the fork server imports before it forks programs", _modules),
    "guard": Option("off", "|".join(GUARD), "what is done about a test that leaves exit handlers", _one_of(GUARD)),
    "must_run": Option("", "ENDINGS", "endings under which a skipped or unfinished handler fails its test", _endings),
    "report": Option("", "PATH", "a file on all runs, x.json or x.html; may be given twice", _reports, of_tests=False),
}
MARKER = (
    "atexit(timeout=…, linger=…, launcher=…, preload=…, guard=…, must_run=…): how pytest-atexit runs the programs of "
    "this test, and what it asks of them"
)


def add_options(parser: pytest.Parser) -> None:
    """Register `--atexit-X` and the ini option `atexit_X` for each option."""
    group = parser.getgroup("atexit", "pytest-atexit")
    for name, option in OPTIONS.items():
        text = f"{option.text} (default: {option.default or 'none'})"
        action = "store" if option.of_tests else "append"
        group.addoption(_flag(name), dest=f"atexit_{name}", action=action, metavar=option.metavar, help=text)
        parser.addini(f"atexit_{name}", text)


def settings_of(config: pytest.Config, node: pytest.Item | pytest.Collector | None) -> Settings:
    """Returns the settings for a test: its marker's, else the command line's, else the ini file's, else the defaults.

    Raises:
        pytest.UsageError: an option that doesn't exist, or a value that is none.
    """
    marked: dict[str, object] = {}
    markable = [name for name, option in OPTIONS.items() if option.of_tests]
    for mark in reversed(list(node.iter_markers("atexit")) if node else []):
        if mark.args or not mark.kwargs.keys() <= set(markable):
            taken = ", ".join(f"{name}=" for name in markable)
            raise pytest.UsageError(f"@pytest.mark.atexit takes {taken}, not {mark.args or mark.kwargs}")
        marked |= mark.kwargs
    return Settings(**{name: option.read(*_value(config, name, marked)) for name, option in OPTIONS.items()})  # type: ignore[arg-type]  # each reader returns what its setting is


def _value(config: pytest.Config, name: str, marked: Mapping[str, object]) -> tuple[str, object]:
    """Returns where a value comes from, and the value."""
    if name in marked:
        return f"@pytest.mark.atexit({name}=…)", marked[name]
    given = config.getoption(f"atexit_{name}")
    if given is not None:
        return _flag(name), given
    return f"atexit_{name}", config.getini(f"atexit_{name}") or OPTIONS[name].default


def _flag(name: str) -> str:
    return f"--atexit-{name.replace('_', '-')}"
