"""The only reader of the command line, the ini file and the marker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = "atexit(timeout=…, linger=…, guard=…): how pytest-atexit runs the programs of this test, and guards it"
OPTIONS = {
    "timeout": (30.0, "seconds after which a program that still runs is killed, and its test fails"),
    "linger": (2.0, "seconds that descendants of a program may outlive it before its result is returned"),
}
GUARD = ("off", "warn", "error")
GUARD_TEXT = (
    "what happens to a test that leaves an exit handler in the pytest process: off, warn or error (default: off)"
)
NAMES = (*OPTIONS, "guard")


class Settings(NamedTuple):  # and no dataclass, which takes longer to make: every session imports this
    """How programs are run.

    Attributes:
        timeout: seconds.
        linger: seconds.
        guard: one of GUARD.
    """

    timeout: float
    linger: float
    guard: str


def add_options(parser: pytest.Parser) -> None:
    """Register `--atexit-X` and the ini option `atexit_X` for each option."""
    group = parser.getgroup("atexit", "pytest-atexit")
    for name, (default, text) in OPTIONS.items():
        group.addoption(
            f"--atexit-{name}", dest=f"atexit_{name}", metavar="SECONDS", help=f"{text} (default: {default:g})"
        )
        parser.addini(f"atexit_{name}", f"{text} (default: {default:g})")
    group.addoption("--atexit-guard", dest="atexit_guard", metavar="|".join(GUARD), help=GUARD_TEXT)
    parser.addini("atexit_guard", GUARD_TEXT)


def settings_of(config: pytest.Config, node: pytest.Item | pytest.Collector | None) -> Settings:
    """Returns the settings for a test: its marker's, else the command line's, else the ini file's, else the defaults.

    Raises:
        pytest.UsageError: an option that doesn't exist, or a wrong value.
    """
    marked: dict[str, object] = {}
    for mark in reversed(list(node.iter_markers("atexit")) if node else []):
        if mark.args or not mark.kwargs.keys() <= {*NAMES}:
            msg = f"@pytest.mark.atexit takes {', '.join(f'{name}=' for name in NAMES)}, not {mark.args or mark.kwargs}"
            raise pytest.UsageError(msg)
        marked |= mark.kwargs
    seconds = {name: _seconds(*_value(config, name, marked)) for name in OPTIONS}
    return Settings(**seconds, guard=_guard(*_value(config, "guard", marked)))


def _value(config: pytest.Config, name: str, marked: Mapping[str, object]) -> tuple[str, object]:
    """Returns where a value comes from, and the value."""
    if name in marked:
        return f"@pytest.mark.atexit({name}=…)", marked[name]
    given = config.getoption(f"atexit_{name}")
    if given is not None:
        return f"--atexit-{name}", given
    return f"atexit_{name}", config.getini(f"atexit_{name}") or (OPTIONS[name][0] if name in OPTIONS else GUARD[0])


def _seconds(source: str, value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds < float("inf"):
        msg = f"{source}: a number of seconds is needed, not {value!r}"
        raise pytest.UsageError(msg)
    return seconds


def _guard(source: str, value: object) -> str:
    if value not in GUARD:
        msg = f"{source}: one of {', '.join(GUARD)} is needed, not {value!r}"
        raise pytest.UsageError(msg)
    return str(value)
