"""What can be seen of a program from outside, and what its journal says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_atexit import ExitResult
from pytest_atexit._events import Event
from pytest_atexit._lines import Program

ADDRESS = re.compile(r"(?<=0x)[0-9a-f]+|(?<= id=')[0-9]+(?=')")  # the second is how a mock says it


@dataclass(frozen=True)
class Outcome:
    """What can be seen of a program from outside."""

    stdout: str
    stderr: str
    status: int

    @classmethod
    def of(cls, stdout: bytes, stderr: bytes, status: int) -> Outcome:
        """Returns it without addresses in memory, which differ from run to run."""
        texts = (ADDRESS.sub("…", data.decode("utf-8", "backslashreplace")) for data in (stdout, stderr))
        return cls(*texts, status)


def outcome_of(result: ExitResult) -> Outcome:
    """Returns what could be seen of a recorded program."""
    return Outcome.of(result.stdout_bytes, result.stderr_bytes, result.returncode)


def events_of(programs: Sequence[Program]) -> list[Event]:
    """Returns all events of programs and of those that they forked."""
    found: list[Event] = []
    for program in programs:
        found += program.events
        found += events_of([child for _, child in program.forks])
    return found
