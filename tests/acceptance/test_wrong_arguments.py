"""What a newcomer passes by mistake: refused at once, in words, and never taken for something else."""

import signal
from collections.abc import Callable

import pytest

from pytest_atexit import CapExit, Ending, ExitResult, LaunchError

Inner = Callable[..., pytest.RunResult]


def test_flags_as_text_are_refused(capexit: CapExit) -> None:
    """`python_args="-O"` would become `- O`, which runs nothing and ends with exit code 0."""
    with pytest.raises((LaunchError, TypeError), match="python_args"):
        capexit.run("print('ran')", python_args="-O")


@pytest.mark.parametrize("env", [{"A": 1}, {1: "A"}, ["A=1"], {"A": "\0"}, {"A=B": "1"}])
def test_an_environment_that_can_not_be(capexit: CapExit, env: object) -> None:
    """The message is about `env` or the variable, not about our code."""
    with pytest.raises((LaunchError, TypeError, ValueError), match=r"\benv"):
        capexit.run("pass", env=env)  # type: ignore[arg-type]


def test_a_folder_that_is_a_file(capexit: CapExit) -> None:
    """It is there, so "there is no folder" alone would mislead: the argument is named."""
    with pytest.raises(LaunchError, match="cwd"):
        capexit.run("pass", cwd=__file__)


@pytest.fixture(scope="module")
def result(module_capexit: CapExit) -> ExitResult:
    """A program with one handler, close, that ran."""
    return module_capexit.run("import atexit\n@atexit.register\ndef close(): pass")


def close() -> None:
    """Stands for a handler that the test can import."""


@pytest.mark.parametrize("name", [close, ["close"]])
def test_names_are_text(result: ExitResult, name: object) -> None:
    """A function or a list instead of a name gets an answer that says what is wanted."""
    with pytest.raises((TypeError, LookupError), match="name"):
        result.assert_ran(name)  # type: ignore[arg-type]


def test_an_ending_that_is_none_is_no_launch_error(result: ExitResult) -> None:
    """An assertion starts nothing; a misspelt ending is a wrong value."""
    with pytest.raises(ValueError, match="there is no ending 'SIGTREM'"):
        result.assert_not_ran("close", by="SIGTREM")


def test_a_wait_without_names_says_so(capexit: CapExit) -> None:
    """As the assertions do."""
    with capexit.start("input()") as program, pytest.raises(ValueError, match="name"):
        program.wait_for_handlers()


def test_a_pattern_of_bytes_says_so(capexit: CapExit) -> None:
    """Output is text."""
    program = capexit.start("print('ready')")
    with pytest.raises(TypeError, match="bytes pattern"):
        program.wait_for_output(b"ready")  # type: ignore[arg-type]


def test_a_syntax_error_is_an_exception(capexit: CapExit) -> None:
    """Python prints it without "Traceback"; the program did not call sys.exit all the same."""
    assert capexit.run("a b").ending in (Ending.EXCEPTION, None)


CALLS = ["capexit.run('pass', cwd='no-such-folder')", "capexit.start('pass', env={'A': '\\0'})", "capexit.run(len)"]


def test_a_launch_error_shows_the_line_of_the_test(inner: Inner) -> None:
    """The traceback ends there: none of our code is in it."""
    result = inner("\n".join(f"def test_{number}(capexit):\n    {call}\n" for number, call in enumerate(CALLS)))
    result.assert_outcomes(failed=len(CALLS))
    result.stdout.fnmatch_lines(
        [line for call in CALLS for line in (f">   *{call.partition('(')[0]}*", "E *LaunchError: *")]
    )
    result.stdout.no_fnmatch_line("*pytest_atexit/*.py:*")


def test_errors_are_shown_by_their_public_names(inner: Inner) -> None:
    """What a traceback prints is what a test can import."""
    result = inner(
        """
        def test_launch(capexit):
            capexit.run(["no-such-command"])

        def test_failed(capexit):
            capexit.run("import atexit; atexit.register(lambda: 1 / 0)")
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E * pytest_atexit.LaunchError: *", "E * pytest_atexit.HandlerFailed: *"])


@pytest.mark.parametrize("timeout", ["3", -3, float("nan")])
def test_timeout_is_looked_at_before_anything_is_started(timeout: object, capexit: CapExit) -> None:
    """A wrong one is no reason to run a program."""
    with pytest.raises(ValueError, match="timeout is a number of seconds, not "):
        capexit.run("print()", timeout=timeout)
    assert capexit._programs == []


@pytest.mark.parametrize("port", ["x", 0, 65536, 8000.5, None, -1])
def test_what_is_no_port_is_refused_at_once(capexit: CapExit, port: object) -> None:
    """Nobody waits for it until the timeout."""
    with capexit.start("input()") as program, pytest.raises(ValueError, match="a port is a number from 1 to 65535"):
        program.wait_for_port(port)  # type: ignore[arg-type]


def test_a_grace_in_place_of_the_signal(capexit: CapExit) -> None:
    """`stop(5)` would send SIGTRAP: the message says how a grace is given. By name any signal can be sent."""
    program = capexit.start("import time; print('ready', flush=True); time.sleep(60)")
    program.wait_for_output("ready")
    for grace in (5, 0.5, 0, 20, 30):
        with pytest.raises(ValueError, match=f"for a grace of {grace} s write grace={grace}"):
            program.stop(grace)  # type: ignore[arg-type]
    assert program.stop(signal.SIGTRAP).status.signal == signal.SIGTRAP


@pytest.mark.parametrize("number", [signal.SIGTERM.value, signal.SIGRTMIN + 3])
def test_signals_that_end_programs_may_be_numbers(capexit: CapExit, number: int) -> None:
    """Those that service managers send."""
    program = capexit.start("import time; print('ready', flush=True); time.sleep(60)")
    program.wait_for_output("ready")
    assert program.stop(number).status.signal == number


@pytest.mark.parametrize("allowed", [["close"], "none", 1])
def test_failures_are_not_allowed_by_name(capexit: CapExit, allowed: object) -> None:
    """What isn't a truth value would allow all of them: refused before anything is run, or a signal is sent."""
    message = "allow_failures is True or False"
    with pytest.raises(TypeError, match=message):
        capexit.run("pass", allow_failures=allowed)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=message):
        capexit.matrix("pass", allow_failures=allowed)  # type: ignore[arg-type]
    assert capexit._programs == []
    with capexit.start("import time; time.sleep(60)") as program:
        for ask in program.wait, program.stop:
            with pytest.raises(TypeError, match=message):
                ask(allow_failures=allowed)  # type: ignore[arg-type]
        assert program.status is None
