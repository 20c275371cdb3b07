"""The only reader of the command line, the ini file and the marker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = "atexit(timeout=…, linger=…): how pytest-atexit runs the programs of this test"
OPTIONS = {
    "timeout": (30.0, "seconds after which a program that still runs is killed, and its test fails"),
    "linger": (2.0, "seconds that descendants of a program may outlive it before its result is returned"),
}


class Settings(NamedTuple):  # and no dataclass, which takes longer to make: every session imports this
    """How programs are run.

    Attributes:
        timeout: seconds.
        linger: seconds.
    """

    timeout: float
    linger: float


def add_options(parser: pytest.Parser) -> None:
    """Register `--atexit-X` and the ini option `atexit_X` for each option."""
    group = parser.getgroup("atexit", "pytest-atexit")
    for name, (default, text) in OPTIONS.items():
        group.addoption(
            f"--atexit-{name}", dest=f"atexit_{name}", metavar="SECONDS", help=f"{text} (default: {default:g})"
        )
        parser.addini(f"atexit_{name}", f"{text} (default: {default:g})")


def settings_of(config: pytest.Config, node: pytest.Item | pytest.Collector | None) -> Settings:
    """Returns the settings for a test: its marker's, else the command line's, else the ini file's, else the defaults.

    Raises:
        pytest.UsageError: an option that doesn't exist, or a value that is no number of seconds.
    """
    marked: dict[str, object] = {}
    for mark in reversed(list(node.iter_markers("atexit")) if node else []):
        if mark.args or not mark.kwargs.keys() <= OPTIONS.keys():
            msg = (
                f"@pytest.mark.atexit takes {', '.join(f'{name}=' for name in OPTIONS)}, not {mark.args or mark.kwargs}"
            )
            raise pytest.UsageError(msg)
        marked |= mark.kwargs
    return Settings(**{name: _seconds(*_value(config, name, marked)) for name in OPTIONS})


def _value(config: pytest.Config, name: str, marked: Mapping[str, object]) -> tuple[str, object]:
    """Returns where a value comes from, and the value."""
    if name in marked:
        return f"@pytest.mark.atexit({name}=…)", marked[name]
    given = config.getoption(f"atexit_{name}")
    if given is not None:
        return f"--atexit-{name}", given
    return f"atexit_{name}", config.getini(f"atexit_{name}") or OPTIONS[name][0]


def _seconds(source: str, value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds < float("inf"):
        msg = f"{source}: a number of seconds is needed, not {value!r}"
        raise pytest.UsageError(msg)
    return seconds
