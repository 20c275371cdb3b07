"""What a test's own report says of its programs: pytest's user properties, which JUnit XML and others show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pytest_atexit._errors import printable
from pytest_atexit._report._facts import RunFacts
from pytest_atexit._report._summary import problems, totals


def properties(runs: Sequence[RunFacts], timelines: str) -> list[tuple[str, str]]:
    """Returns names and values.

    Args:
        runs: of one test, at least one.
        timelines: their exit timelines.
    """
    states = ("failed", "unfinished", "skipped")
    names = {state: dict.fromkeys(each.handler["name"] for each in problems(runs, state)) for state in states}
    slowest = max(run["exit_duration"] or 0.0 for run in runs)
    return [
        ("atexit_runs", str(len(runs))),
        ("atexit_ran", str(totals(runs)["ran"])),
        *((f"atexit_{state}", printable(", ".join(found))) for state, found in names.items() if found),
        ("atexit_exit_seconds", f"{slowest:.3f}"),
        ("atexit_timeline", printable(timelines)),
    ]


def extra(timelines: str) -> dict[str, str | None]:
    """Returns what pytest-html shows below a test, in its own form."""
    return {
        "name": "exit timeline",
        "format_type": "html",
        "content": f"<pre>{escape(printable(timelines))}</pre>",
        "mime_type": None,
        "extension": None,
    }
