"""The policy `must_run`: endings under which a skipped or unfinished handler fails the test."""

from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]

SUITE = """
import pytest
from pytest_atexit import HandlerSkipped

PROGRAM = '''
import atexit, os
def close(): pass
def leave(): os._exit(3)
atexit.register(close)
'''
SLEEPS = PROGRAM + "print('up', flush=True); __import__('time').sleep(60)"

def test_run(capexit):
    capexit.run(PROGRAM, ending="SIGTERM")

def test_stop(capexit):
    program = capexit.start(SLEEPS)
    program.wait_for_output("up")
    with pytest.raises(HandlerSkipped, match="close was skipped, which must_run forbids") as caught:
        program.stop()
    assert caught.value.result.skipped == ["close"]
    assert str(caught.value).splitlines()[0].endswith(
        "when the program ends by SIGTERM: SIGTERM had its default action: no signal handler was installed"
    )
    with pytest.raises(HandlerSkipped):
        program.wait(allow_failures=True)

def test_another_ending(capexit):
    capexit.run(PROGRAM, ending="SIGKILL")

@pytest.mark.atexit(must_run=["os._exit"])
def test_marker(capexit):
    assert capexit.run(PROGRAM, ending="SIGTERM").skipped == ["close"]
    with pytest.raises(HandlerSkipped, match="close was skipped and leave was unfinished, which must_run forbids"):
        capexit.run(PROGRAM + "atexit.register(leave)")

def test_unattended(capexit):
    program = capexit.start(PROGRAM + "os.kill(os.getpid(), 15)")
    program._run.await_end(30)
"""


@pytest.mark.parametrize(
    "option",
    [["--atexit-must-run=fatal error SIGTERM"], ["-o", "atexit_must_run=return\n sigterm"]],
    ids=["command line", "ini"],
)
def test_it_fails_the_test_with_the_reason(inner: Inner, option: list[str]) -> None:
    """Run, wait and stop raise, and a program that nobody waited for fails its test, not the teardown."""
    result = inner(SUITE, *option)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E * pytest_atexit.HandlerSkipped: close was skipped, which must_run forbids *: SIGTERM had its default *",
            "HandlerSkipped: close was skipped, *",
        ]
    )
    result.stdout.no_fnmatch_line("*_policy.py*")


def test_without_it_nothing_fails(inner: Inner) -> None:
    """The default asks for nothing."""
    inner(SUITE, "-k", "test_run or test_unattended").assert_outcomes(passed=2, deselected=3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--atexit-must-run=return foo"], "*--atexit-must-run: there is no ending 'foo'; the endings are *"),
        (["-o", "atexit_must_run=SIGFOO"], "*atexit_must_run: there is no ending 'SIGFOO'; *"),
    ],
)
def test_a_wrong_ending_is_a_usage_error(inner: Inner, options: list[str], said: str) -> None:
    """It ends the session before its first test, and says which endings there are."""
    result = inner("def test_it(): pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_a_wrong_ending_in_a_marker_is_its_tests_error(inner: Inner) -> None:
    """Other tests go on."""
    result = inner(
        """
        import pytest

        @pytest.mark.atexit(must_run=3.5)
        def test_it(capexit): pass

        @pytest.mark.atexit(must_run=["return", "foo"])
        def test_other(capexit): pass

        def test_last(capexit): pass
        """
    )
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["@pytest.mark.atexit(must_run=…): there is no ending 'foo'; *"])
