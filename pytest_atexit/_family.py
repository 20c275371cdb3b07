"""What the processes of a run are to each other: which was started first, and which was told how another one ended."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pytest_atexit._replay import Life
from pytest_atexit._status import ExitStatus

STARTING = 1e9  # nanoseconds in which an interpreter comes to write its first line
MOST_PIDS = 1 << 22  # as many as Linux can have


def in_start_order(lives: Iterable[Life]) -> list[Life]:
    """Returns lives in the order in which their processes were started.

    A fork is written down when it happens, but an interpreter that was started writes when it has come to load the
    agent, and of two at once the second may be faster. Their pids tell then, for Linux gives them out in order, from
    the beginning again when the highest one is reached.
    """
    lives = sorted(lives, key=lambda life: life.born)
    if len(lives) == 1:  # as of most programs
        return lives
    latest: dict[int, Life] = {}  # by pid
    first: set[int] = set()  # identities of programs that are the first ones of their processes
    for life in lives:
        before = latest.setdefault(life.began.pid, life)
        if before is life and life.parent is None:
            first.add(id(life))
        elif before.only_spawns and life.parent is None:
            life.born = before.born
        latest[life.began.pid] = life
    ordered: list[Life] = []
    for life in sorted(lives, key=lambda life: life.born):
        place = len(ordered)
        if id(life) in first:
            for other in reversed(ordered):
                if life.born - other.born > STARTING or not _is_older(life.began.pid, other.began.pid):
                    break
                place -= 1
        ordered.insert(place, life)
    return ordered


def _is_older(pid: int, other: int) -> bool:
    """Whether a pid was given out before another one, at about the same time."""
    return 0 < (other - pid) % _pids() < _pids() // 2


@cache
def _pids() -> int:
    try:
        return int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return MOST_PIDS


def statuses_of(lives: Iterable[Life]) -> dict[int, ExitStatus]:
    """Returns how processes ended whose parents were told, by the identity of the life of each program in them."""
    lives = list(lives)
    told: dict[int, list[tuple[int, int, int]]] = {}  # by pid, which may be given out again: when, whom and what
    for life in lives:
        for event in life.reaped:
            told.setdefault(event.pid, []).append((event.time, life.began.pid, event.returncode))
    statuses = {}
    for life in lives:
        # A pid is taken until somebody was told: whoever was first, after the process was started, was told of it.
        later = [each for each in told.get(life.began.pid, ()) if each[0] > life.born]
        if later and min(later)[1] == life.began.parent_pid:
            statuses[id(life)] = ExitStatus.from_returncode(min(later)[2])
    return statuses
