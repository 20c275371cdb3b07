"""Plain handlers: their order, their arguments, and the endings under which they don't run."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")


def test_handlers_run_last_in_first_out(capexit):
    """The handler registered last runs first, whichever way it was registered."""
    result = capexit.run(PROGRAM)
    print(result)  # the exit timeline: see it with `pytest -rP`
    assert result.ran == ["OnExitApp", "OnExitApp", "close"]
    assert result.stdout == ("running\nGrace exits the application, tired\nAda exits the application, happy\nclosed\n")


def test_handlers_get_their_arguments(capexit):
    """Arguments by position and by keyword are recorded as they were."""
    grace, ada, _ = capexit.run(PROGRAM).timeline
    assert (grace.args, grace.kwargs) == ((), {"user": "Grace", "mood": "tired"})
    assert (ada.args, ada.kwargs) == (("Ada",), {})
    assert ada.where.endswith("program.py:15")


@pytest.mark.parametrize("ending", ["return", "sys.exit", "exception", "SIGINT"])
def test_handlers_run_at_an_orderly_end(capexit, ending):
    """Ctrl-C raises KeyboardInterrupt, which is an orderly end, too."""
    result = capexit.run(PROGRAM, ending=ending)
    assert result.ending == ending
    result.assert_ran_once("close")


@pytest.mark.parametrize(
    "ending", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL", "os._exit", "abort", "segfault", "fatal error", "exec"]
)
def test_handlers_are_skipped_at_any_other(capexit, ending):
    """No handler runs when a signal that Python doesn't handle, a crash or os._exit ends the program."""
    result = capexit.run(PROGRAM, ending=ending)
    result.assert_not_ran("close", "OnExitApp", by=ending)
    assert result.skipped == ["close", "OnExitApp", "OnExitApp"]


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("SIGTERM", "SIGTERM had its default action: no signal handler was installed"),
        ("SIGKILL", "SIGKILL ended it at once: no program can handle that"),
        ("fatal error", "a fatal error of the interpreter: ending='fatal error'"),
    ],
)
def test_the_reason_is_told(capexit, ending, reason):
    """A result says why handlers were skipped."""
    assert capexit.run(PROGRAM, ending=ending).reason == reason


def test_a_function_is_a_program(capexit):
    """The body of a function of the test file runs in the child, with plain data as arguments."""

    def program(names):
        import atexit

        for name in names:
            atexit.register(print, "bye", name)

    result = capexit.run(program, ["Ada", "Grace"])
    assert [handler.args for handler in result.timeline] == [("bye", "Grace"), ("bye", "Ada")]


def test_source_text_is_a_program(capexit):
    """For a few lines, text will do."""
    result = capexit.run(
        """
        import atexit, os

        atexit.register(print, "never")
        os._exit(7)
        """
    )
    assert result.status.code == 7
    result.assert_not_ran("print", by="os._exit")


def test_a_signal_handler_makes_sigterm_orderly(capexit):
    """With a signal handler that raises SystemExit, SIGTERM runs the handlers."""

    def program():
        import atexit
        import signal
        import sys

        atexit.register(print, "bye")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    result = capexit.run(program, ending="SIGTERM")
    assert result.ran == ["print"]
    assert str(result.status) == "exit code 0"
