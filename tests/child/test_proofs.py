"""Long proofs: CPython's own tests under the agent, and programs killed at any moment."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from outcomes import Outcome, events_of, outcome_of

from pytest_atexit import CapExit, ExitResult
from pytest_atexit._events import Ended, Lost, ProcessBegan, Registered, Started
from pytest_atexit._journal import Program

pytestmark = pytest.mark.slow

PROGRAMS = 200
KILLED = """
import atexit, os
def handler(number, text): pass
def fails(): raise ValueError("text")
os.write(1, b"begins\\n")
number = 0
while True:
    for _ in range(50):
        number += 1
        atexit.register(handler, number, "x" * (number % 500))
        os.write(1, b"%d\\n" % number)
    atexit.register(fails)
    number += 1
    if not os.fork():
        atexit.register(handler, "child", "")
        os._exit(0)
    os.wait()
    atexit._run_exitfuncs()
"""


def has_tests_of_cpython() -> bool:
    """Returns whether the interpreter comes with its own tests of `atexit`."""
    return importlib.util.find_spec("test") is not None and importlib.util.find_spec("test.test_atexit") is not None


@pytest.mark.skipif(not has_tests_of_cpython(), reason="this interpreter comes without its tests")
@pytest.mark.parametrize(
    "command", [("-m", "unittest", "-v", "test.test_atexit"), ("-m", "test", "test_atexit")], ids=["unittest", "test"]
)
def test_test_atexit_of_cpython_gives_the_same(
    command: tuple[str, ...], plainly: Callable[..., Outcome], recorded: Callable[..., ExitResult]
) -> None:
    """CPython's own tests of `atexit` pass and fail under the agent as they do plainly."""
    changing = re.compile(
        r"\d+(\.\d+)? ?(ms|sec|s)\b|\d+:\d+:\d+|load avg: \S+|test_python_\w+|(?<=random seed: )\d+|(?<=worker_)\w+"
    )
    plain, result = plainly([sys.executable, *command]), outcome_of(recorded([sys.executable, *command]))
    steady = [[changing.sub("…", text) for text in (each.stdout, each.stderr)] for each in (plain, result)]
    assert steady[1] == steady[0]
    assert result.status == plain.status == 0
    assert re.search(r"Ran [1-9]\d* tests|SUCCESS", plain.stdout + plain.stderr)


@pytest.mark.timeout(300)  # many programs, one after the other
def test_program_killed_at_any_moment_leaves_a_whole_journal(
    capexit: CapExit, journals: dict[int, list[Program]], environment: dict[str, str | None], tmp_path: Path
) -> None:
    """Every journal can be read, and no event is missing that a later one, or the program's own output, implies."""
    path = tmp_path / "killed.py"
    path.write_text(KILLED)
    chance = random.Random(20)
    for _ in range(PROGRAMS):
        journals.clear()
        program = capexit.start(path, env=environment)
        program.wait_for_output("begins")
        time.sleep(chance.random() * 0.03)  # not to wait for anything: to kill it anywhere
        program.kill()
        result = program.wait(allow_failures=True)
        assert result.returncode == -9
        (programs,) = journals.values()
        check(programs, [int(line) for line in result.stdout.split()[1:]])


def check(programs: list[Program], told: list[int]) -> None:
    """Hold the journal of a killed program against what the program said."""
    (main,) = programs
    assert isinstance(main.events[0], ProcessBegan)
    registered: set[int] = set()
    started: set[int] = set()
    for event in main.events:
        match event:
            case Registered():
                assert event.number == len(registered) + 1
                registered.add(event.number)
            case Started() if event.number:
                assert event.number in registered
                started.add(event.number)
            case Ended() if event.number:
                assert event.number in started
    assert registered >= set(told)
    assert len(registered) <= max(told, default=0) + 2
    assert not any(isinstance(event, Lost) for event in events_of(programs))
