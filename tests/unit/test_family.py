"""The order in which processes were started."""

import pytest

from pytest_atexit import _family
from pytest_atexit._events import ProcessBegan
from pytest_atexit._replay import Life

MILLISECOND = 1_000_000


def started(pid: int, milliseconds: int) -> Life:
    """An interpreter that writes its first line at a moment."""
    time = milliseconds * MILLISECOND
    return Life(ProcessBegan(time, "start", pid, 1), born=time)


def forked(pid: int, milliseconds: int, module: str = "") -> Life:
    """A fork at a moment."""
    time = milliseconds * MILLISECOND
    life = Life(ProcessBegan(time, "fork", pid, 1), born=time, fork_module=module)
    life.parent = life
    return life


CASES = {
    "as they write": [started(10, 0), started(11, 5), started(12, 9)],
    "the second is faster": [started(10, 0), started(11, 9), started(12, 5)],
    "the last is fastest": [started(10, 0), started(11, 9), started(12, 8), started(13, 5)],
    "the highest pid was reached": [started(98, 0), started(99, 9), started(3, 5)],
    "an exec keeps the pid": [started(10, 0), started(11, 5), started(10, 9)],
    "a pid comes again long after": [started(50, 0), started(60, 5), started(20, 5000)],
    "a fork is known at once": [started(10, 0), started(11, 9), forked(12, 5)],
    "a fork that only execs": [started(10, 0), forked(11, 1, "subprocess"), started(11, 9), started(12, 5)],
    "a fork that execs in the end": [started(10, 0), forked(11, 1), started(12, 5), started(11, 9)],
}


@pytest.mark.parametrize("case", CASES)
def test_processes_are_in_the_order_in_which_they_were_started(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes first: pids are given out in order."""
    monkeypatch.setattr(_family, "_pids", lambda: 100)
    lives = CASES[case]
    assert _family.in_start_order(reversed(lives)) == lives


def test_the_highest_pid_is_what_the_kernel_says() -> None:
    """It is one of the two that Linux has by default, or was set."""
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        assert _family._pids() == int(file.read())
