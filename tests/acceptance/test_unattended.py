"""Programs that a test starts and doesn't wait for, and waits for programs that end."""

import time
from collections.abc import Callable

import pytest

from pytest_atexit import CapExit, ProgramEnded, ProgramTimeout

Inner = Callable[..., pytest.RunResult]

HEADLINE = "HandlerFailed: a handler raised, which Python itself ignores (exit code 0): <lambda> (ZeroDivisionError: *"
# A wait that nothing fulfils returns when the program has ended.
SUITE = """
import pytest
from pytest_atexit import ProgramEnded

def ended(capexit):
    program = capexit.start("import atexit; atexit.register(lambda: 1 / 0)")
    with pytest.raises(ProgramEnded):
        program.wait_for_output("nothing of the kind")
    return program
"""


def test_its_failed_handler_fails_the_test(inner: Inner) -> None:
    """A failure, not an error: it belongs to the test and not to the teardown."""
    result = inner(f"{SUITE}\ndef test_it(capexit):\n    ended(capexit)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([HEADLINE])


def test_the_failure_of_the_test_itself_comes_first(inner: Inner) -> None:
    """Nothing hides why the test failed; and one that asked for the result with allow_failures has been told."""
    result = inner(
        f"""{SUITE}
def test_it(capexit):
    ended(capexit)
    assert 'mine' == ''

def test_waits(capexit):
    ended(capexit).wait(allow_failures=True)

def test_stops(capexit):
    ended(capexit).stop(allow_failures=True)
"""
    )
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["E       AssertionError: assert 'mine' == ''"])
    result.stdout.no_fnmatch_line("HandlerFailed: *")


def test_a_wider_scope_judges_at_its_end(inner: Inner, pytester: pytest.Pytester) -> None:
    """No single test started it, so it is an error of the teardown; it is not swallowed."""
    test = "class Test{0}:\n    def test_it(self, {0}_capexit):\n        ended({0}_capexit)\n"
    pytester.makepyfile(test_0=f"{SUITE}{test.format('class')}{test.format('module')}")
    result = inner(SUITE + test.format("session"))
    result.assert_outcomes(passed=3, errors=3)
    result.stdout.fnmatch_lines([line for _ in range(3) for line in ("*ERROR at teardown of *", HEADLINE)])


def test_a_program_that_had_to_be_killed_is_not_judged(inner: Inner) -> None:
    """It did not end by itself, so a handler that failed on the way says nothing."""
    result = inner(
        """
        def test_it(capexit):
            program = '''
            import atexit, time
            atexit.register(time.sleep, 60)
            atexit.register(lambda: 1 / 0)
            '''
            started = capexit.start(program)
            started.wait_for(lambda: started.ran == ["<lambda>", "sleep"])
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("wait", "args"),
    [
        ("wait_for_output", ["ready"]),
        ("wait_for_port", [9]),
        ("wait_for_url", ["http://127.0.0.1:9/"]),
        ("wait_for_handlers", ["close"]),
        ("wait_for_signal_handler", [15]),
        ("wait_for", [bool]),
        ("wait_for", [lambda: False]),
    ],
)
def test_every_wait_ends_with_the_program(capexit: CapExit, wait: str, args: list[object]) -> None:
    """It fails at once and not after its timeout, with what the program wrote."""
    program = capexit.start("import sys; sys.exit('no config')")
    began = time.monotonic()
    with pytest.raises(ProgramEnded, match=r"(?s)the program ended \(exit code 1\) .*no config"):
        getattr(program, wait)(*args, **({"timeout": 50} if args != [bool] else {}))
    assert time.monotonic() - began < 20


def test_what_came_just_before_the_end_counts(capexit: CapExit) -> None:
    """Output is found also when the program has ended in the meantime."""
    program = capexit.start("print('ready')")
    program.wait()
    assert program.wait_for_output("ready")[0] == "ready"


def test_a_predicate_that_raises_ends_the_wait(capexit: CapExit) -> None:
    """An error of the test's own is not taken for "not yet"."""
    with capexit.start("import time; time.sleep(60)") as program, pytest.raises(ZeroDivisionError):
        program.wait_for(lambda: 1 / 0)


def test_wait_takes_the_configured_timeout(request: pytest.FixtureRequest) -> None:
    """`wait()` is as patient as `run()`, and a program that outlives it is killed."""
    request.node.add_marker(pytest.mark.atexit(timeout=0.3))
    program = request.getfixturevalue("capexit").start("import time; time.sleep(60)")
    with pytest.raises(ProgramTimeout, match=r"still running after 0\.3 s"):
        program.wait()
    assert program.wait().returncode == -9


def test_a_signal_that_came_in_time_is_no_kill_after_the_grace(capexit: CapExit) -> None:
    """A program that SIGTERM ended was not killed, however short the grace was: status and reason agree."""
    for _ in range(5):
        program = capexit.start("import atexit, time; atexit.register(print); print('up', flush=True); time.sleep(60)")
        program.wait_for_output("up")
        result = program.stop(grace=0)
        assert result.killed_after_grace == (result.returncode == -9)
        assert result.reason is not None
        assert result.reason.startswith("SIGKILL" if result.returncode == -9 else "SIGTERM")


def test_stop_after_the_end_changes_nothing(capexit: CapExit) -> None:
    """There was nothing to stop, so no grace was used."""
    program = capexit.start("pass")
    program.wait()
    result = program.stop()
    assert (result.returncode, result.grace_used, result.killed_after_grace) == (0, None, False)


def test_signal_zero_is_sent_as_popen_does(capexit: CapExit) -> None:
    """`send_signal(0)` asks whether it is there and does nothing to it."""
    with capexit.start("import time; print('ready', flush=True); time.sleep(60)") as program:
        program.send_signal(0)
        program.wait_for_output("ready")


def test_leaving_the_block_kills_children(capexit: CapExit, lives: Callable[[int], bool]) -> None:
    """What the program has started goes with it."""
    program = "import os, time; child = os.fork(); os.write(1, b'%d %d\\n' % (os.getpid(), child)); time.sleep(60)"
    with capexit.start(program) as started:
        pids = [int(pid) for pid in started.wait_for_output(r"(\d+) ([1-9]\d*)\n").groups()]
        assert all(map(lives, pids))
    assert not any(map(lives, pids))
