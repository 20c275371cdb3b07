"""The exit status of a program is taken by somebody else's wait in the process of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from pytest_atexit import CapExit, PytestAtexitError
from pytest_atexit._launch._output import Output
from pytest_atexit._launch._popen import Child

Inner = Callable[..., pytest.RunResult]

TAKEN = r"exit status of process (\d+|that was just started) was taken by somebody else's wait .* by their pids"


@pytest.fixture
def nobody_waits() -> Iterator[None]:
    """The kernel reaps each child at its end, as for who ignores SIGCHLD: as fast as no other wait can be."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.parametrize("starts", [CapExit.run, lambda capexit, text: capexit.start(text).wait()])
def test_the_error_says_what_has_happened(starts: Callable[..., object], capexit: CapExit) -> None:
    """Nobody knows how the program ended, so nothing is claimed of it, but why, and what to do."""
    with pytest.raises(PytestAtexitError, match=TAKEN):
        starts(capexit, "import atexit; atexit.register(print)")


LEAVES_SOMEBODY = """
import os, time
reader, writer = os.pipe()
if not os.fork():
    print(os.getpid(), flush=True)
    os.write(writer, b"x")
    time.sleep(60)
os.read(reader, 1)
"""


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.atexit(linger=0.05)
def test_what_it_leaves_is_ended_all_the_same(capexit: CapExit, lives: Callable[[int], bool]) -> None:
    """A descendant is known by its marks: the number of the session that it is in may be another's by now."""
    program = capexit.start(LEAVES_SOMEBODY)
    with pytest.raises(PytestAtexitError, match=TAKEN):
        program.wait()
    pid = int(program.stdout)
    assert lives(pid)
    assert any(str(pid) in line for line in capexit.close())
    assert not lives(pid)


def test_a_child_that_was_reaped_has_no_returncode() -> None:
    """Its end is noticed, and 0 is never taken for its status."""
    child = Child(["true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = Output(child, in_thread=False)
    os.waitpid(child.pid, 0)
    assert output.wait(30)
    assert (output.returncode, output.is_taken) == (None, True)
    output.close()


def test_a_program_that_nobody_asked_for_is_an_error_of_its_test(inner: Inner) -> None:
    """Whether a handler failed can't be judged, and that is no pass; the report of a failure is as ever."""
    result = inner("""
        import signal
        import pytest
        from pytest_atexit import PytestAtexitError

        def test_it(capexit):
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            program = capexit.start("import atexit; atexit.register(lambda: 1 / 0)")
            with pytest.raises(PytestAtexitError):
                program.wait_for_output("nothing of the kind")
        """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["PytestAtexitError: how the program ended is not known: *"])
