"""What the agent does where a test may hold a handler: the same in each interpreter, and nothing that is seen."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from interpreters import VERSIONS, others, pypy
from outcomes import Outcome, outcome_of
from test_fidelity import programs

from pytest_atexit import CapExit

HELD = """
import atexit, os, signal, sys, time

@atexit.register
def last():
    os.write(1, b"last\\n")

@atexit.register
def first():
    os.write(1, b"first\\n")

signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"noted\\n"))
os.write(1, b"ready\\n")
while True:  # and no long sleep: a signal that comes just before that waits for its end
    time.sleep(0.01)
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", programs())
def test_a_program_that_may_be_held_ends_as_it_does_plainly(
    program: Path,
    plainly: Callable[..., Outcome],
    capexit: CapExit,
    environment: dict[str, str | None],
    tmp_path: Path,
) -> None:
    """Where no moment is armed, stdout, stderr and status are those of a plain run."""
    plain = plainly(program)
    result = capexit.start(program, env=environment, cwd=tmp_path).wait(allow_failures=True)
    assert outcome_of(result) == plain


@pytest.mark.slow
@pytest.mark.parametrize("version", [*VERSIONS, "pypy"])
def test_each_interpreter_holds_handlers(version: str, capexit: CapExit) -> None:
    """What differs between them: how handlers are called, locks, signals. PyPy calls handlers in Python."""
    python = pypy() if version == "pypy" else others().get(version)
    if not python:
        pytest.skip("this is the interpreter of the tests, or the machine has none of that version")
    program = capexit.start(HELD, python=python)
    program.wait_for_output("ready\n")
    first, last = program.during("first"), program.during("last")
    program.terminate()
    with first:
        program.send_signal(signal.SIGUSR1)
        program.wait_for_output("noted\n")
        program.terminate()
        program.wait_for_output("SystemExit: 3")
    with last:
        assert program.stdout == "ready\nnoted\n"
    result = program.wait(allow_failures=True)
    assert result.failed == ["first"]
    assert result.stdout == "ready\nnoted\nlast\n"
