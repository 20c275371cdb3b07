"""The only reader of the command line, the ini file and the marker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GUARD = ("off", "warn", "error")
LAUNCHERS = ("auto", "spawn", "fork")  # as in _launch/_launcher.py, which every session would have to import
MARKER = "atexit(timeout=…, linger=…, launcher=…, preload=…, guard=…): how pytest-atexit runs this test's programs"


class Settings(NamedTuple):  # and no dataclass, which takes longer to make: every session imports this
    """How programs are run.

    Attributes:
        timeout: seconds.
        linger: seconds.
        launcher: one of LAUNCHERS.
        preload: modules that a fork server imports first.
        guard: one of GUARD.
    """

    timeout: float
    linger: float
    launcher: str
    preload: tuple[str, ...]
    guard: str


def _seconds(source: str, value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds < float("inf"):
        msg = f"{source}: a number of seconds is needed, not {value!r}"
        raise pytest.UsageError(msg)
    return seconds


def _launcher(source: str, value: object) -> str:
    if value not in LAUNCHERS:
        msg = f"{source}: there is no launcher {value!r}; the launchers are {', '.join(map(repr, LAUNCHERS))}"
        raise pytest.UsageError(msg)
    return str(value)


def _modules(source: str, value: object) -> tuple[str, ...]:
    """Returns names of modules, which may be given as text with commas or spaces between them."""
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        msg = f"{source}: names of modules are needed, not {value!r}"
        raise pytest.UsageError(msg)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            msg = f"{source}: {name!r} is no name of a module"
            raise pytest.UsageError(msg)
    return tuple(names)


def _guard(source: str, value: object) -> str:
    if value not in GUARD:
        msg = f"{source}: one of {', '.join(GUARD)} is needed, not {value!r}"
        raise pytest.UsageError(msg)
    return str(value)


class Option(NamedTuple):
    """A setting: what it is called in help texts, its default as text, and what makes its value."""

    metavar: str
    default: str
    read: Callable[[str, object], object]
    text: str


OPTIONS = {
    "timeout": Option(
        "SECONDS", "30", _seconds, "seconds after which a program that still runs is killed, and its test fails"
    ),
    "linger": Option(
        "SECONDS", "2", _seconds, "seconds that descendants of a program may outlive it before its result is returned"
    ),
    "launcher": Option(
        "NAME", "auto", _launcher, "how programs are started: auto, spawn (a fresh interpreter) or fork"
    ),
    "preload": Option("MODULES", "", _modules, "modules that the fork server imports before it forks programs"),
    "guard": Option(
        "|".join(GUARD), "off", _guard, "what happens to a test that leaves an exit handler in the pytest process"
    ),
}


def add_options(parser: pytest.Parser) -> None:
    """Register `--atexit-X` and the ini option `atexit_X` for each option."""
    group = parser.getgroup("atexit", "pytest-atexit")
    for name, option in OPTIONS.items():
        text = f"{option.text} (default: {option.default or 'none'})"
        group.addoption(f"--atexit-{name}", dest=f"atexit_{name}", metavar=option.metavar, help=text)
        parser.addini(f"atexit_{name}", text)


def settings_of(config: pytest.Config, node: pytest.Item | pytest.Collector | None) -> Settings:
    """Returns the settings for a test: its marker's, else the command line's, else the ini file's, else the defaults.

    Raises:
        pytest.UsageError: an option that doesn't exist, or a wrong value.
    """
    marked: dict[str, object] = {}
    for mark in reversed(list(node.iter_markers("atexit")) if node else []):
        if mark.args or not mark.kwargs.keys() <= OPTIONS.keys():
            msg = (
                f"@pytest.mark.atexit takes {', '.join(f'{name}=' for name in OPTIONS)}, not {mark.args or mark.kwargs}"
            )
            raise pytest.UsageError(msg)
        marked |= mark.kwargs
    values = {name: option.read(*_value(config, name, marked)) for name, option in OPTIONS.items()}
    return Settings(**values)  # type: ignore[arg-type]  # each option's `read` returns what its field is


def _value(config: pytest.Config, name: str, marked: Mapping[str, object]) -> tuple[str, object]:
    """Returns where a value comes from, and the value."""
    if name in marked:
        return f"@pytest.mark.atexit({name}=…)", marked[name]
    given = config.getoption(f"atexit_{name}")
    if given is not None:
        return f"--atexit-{name}", given
    return f"atexit_{name}", config.getini(f"atexit_{name}") or OPTIONS[name].default
