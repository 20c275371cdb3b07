"""Where much happens at once, or very much at all: what can't be written down is said, and all else is there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from pytest_atexit import ExitResult, NotRecorded

Recorded = Callable[..., ExitResult]

FORBID_OPEN = """
import atexit, os, sys
def forbid(event, args):
    if event == "open": raise OSError
def handler(*args): pass
"""

FORKS_IN_THREADS = """
import atexit, os, sys, threading
sys.setswitchinterval(1e-6)

def fork_often(number):
    for turn in range(8):
        if (child := os.fork()) == 0:
            def handler(): os.write(1, b"%d ran in thread_%d\\n" % (os.getpid(), number))
            handler.__qualname__ = f"thread_{number}"
            atexit.register(handler)
            atexit._run_exitfuncs()
            os._exit(0)
        os.waitpid(child, 0)

threads = [threading.Thread(target=fork_often, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_that_fork_at_once(recorded: Recorded) -> None:
    """Each child has a record of its own, of what it says that it ran."""
    result = recorded(FORKS_IN_THREADS, python_args=["-W", "ignore"])
    told = dict(re.findall(r"(\d+) ran in (thread_\d)", result.stdout))
    assert len(told) == 64
    assert {str(child.pid): child.ran for child in result.children} == {pid: [name] for pid, name in told.items()}


SLOWER = [pytest.param(argument, marks=pytest.mark.slow) for argument in ("'x' * 7", "'x' * 100")]


@pytest.mark.parametrize("argument", ["", *SLOWER, "'x' * 900"])
def test_full_window_always_says_so(recorded: Recorded, argument: str) -> None:
    """Whatever the length of the lines that fill it, nothing is missing without an error."""
    program = f"{FORBID_OPEN}\nsys.addaudithook(forbid)\nfor _ in range(80_000): atexit.register(handler, {argument})\n"
    with pytest.raises(NotRecorded, match="something could not be written down"):
        recorded(program)


def test_window_grows_with_many_handlers(recorded: Recorded) -> None:
    """It grows again, and once more, while tens of thousands of handlers wait to be called."""
    program = """
        import atexit
        def handler(*args): pass
        for number in range(40_000): atexit.register(handler, number, "x" * 900)
        """
    result = recorded(program)
    assert Counter(result.ran) == {"handler": 40_000}
    assert [handler.args[0] for handler in result.handlers] == list(range(40_000))


def test_loss_in_a_child_is_an_error(recorded: Recorded) -> None:
    """What a forked child could not write down counts as much as what its parent could not."""
    program = f"""{FORBID_OPEN}
if (child := os.fork()) == 0:
    sys.addaudithook(forbid)
    for _ in range(9_000): atexit.register(handler, "x" * 900)
    os._exit(0)
os.waitpid(child, 0)
"""
    with pytest.raises(NotRecorded, match="something could not be written down") as caught:
        recorded(program)
    assert caught.value.result is not None
    assert [child.lost for child in caught.value.result.children] == [True]
