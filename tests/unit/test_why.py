"""How a program ended and why handlers were skipped, from evidence."""

import dataclasses
import signal

import pytest

from pytest_atexit import Ending, ExitStatus, Handler
from pytest_atexit._events import LastCall
from pytest_atexit._why import Evidence, ending_of, reason_of


def handler(state):
    return Handler(
        number=1,
        name="close",
        qualname="close",
        module="__main__",
        args=(),
        kwargs={},
        where="app.py:3",
        origin="program",
        kind="atexit",
        state=state,
        exception=None,
        started=None if state == "skipped" else 1.0,
        finished=None,
        thread="MainThread",
        interpreter=0,
        inherited=False,
    )


NOTHING = Evidence(status=ExitStatus(code=0))
SKIPPED = dataclasses.replace(NOTHING, handlers=[handler("skipped")])
RAN = dataclasses.replace(NOTHING, handlers=[handler("ran")], called=[handler("ran")], uncaught=False)


def killed(by, **evidence):
    return dataclasses.replace(SKIPPED, status=ExitStatus(signal=by), **evidence)


def last(function, *args):
    return LastCall(time=5, function=function, file="app.py", line=40, thread="", args=args)


@pytest.mark.parametrize(
    ("evidence", "ending"),
    [
        (NOTHING, Ending.RETURN),
        (dataclasses.replace(RAN, status=ExitStatus(code=3)), Ending.SYS_EXIT),
        (dataclasses.replace(RAN, status=ExitStatus(code=1)), Ending.SYS_EXIT),
        (dataclasses.replace(RAN, status=ExitStatus(code=1), uncaught=True), Ending.EXCEPTION),
        (killed(signal.SIGTERM), Ending.SIGTERM),
        (killed(signal.SIGABRT), Ending.ABORT),
        (killed(signal.SIGABRT, stderr="Fatal Python error: oops\n"), Ending.FATAL_ERROR),
        (killed(signal.SIGSEGV), Ending.SEGFAULT),
        (killed(signal.SIGALRM), None),
        (dataclasses.replace(SKIPPED, last_call=last("_exit", 3)), Ending.OS_EXIT),
        (dataclasses.replace(SKIPPED, last_call=last("execv", "/bin/true")), Ending.EXEC),
        (dataclasses.replace(SKIPPED, became=True), Ending.EXEC),
        (SKIPPED, None),
        (dataclasses.replace(RAN, is_foreign=True), None),
    ],
)
def test_the_ending_is_what_status_and_record_tell(evidence, ending):
    """An exit code with skipped handlers, and nothing that explains it, is no known ending."""
    assert ending_of(evidence) == ending


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (RAN, None),
        (SKIPPED, "unknown"),
        (killed(signal.SIGTERM, is_foreign=True), "unknown"),
        (killed(signal.SIGTERM), "SIGTERM had its default action: no signal handler was installed"),
        (
            killed(signal.SIGTERM, caught=frozenset([signal.SIGTERM])),
            "SIGTERM had its default action in the end, although a signal handler was installed when it was sent",
        ),
        (killed(signal.SIGKILL), "SIGKILL ended it at once: no program can handle that"),
        (
            killed(signal.SIGKILL, grace=(5, signal.SIGTERM)),
            "SIGKILL ended it, for it was still running 5 s after SIGTERM",
        ),
        (killed(signal.SIGKILL, overran=2.5), "it was killed, for it was still running after 2.5 s"),
        (
            killed(signal.SIGKILL, killed="at the end of the test"),
            "it was killed at the end of the test",
        ),
        (
            killed(signal.SIGTERM, killed="at the end of the test"),
            "SIGTERM had its default action: no signal handler was installed",
        ),
        (killed(signal.SIGSEGV), "SIGSEGV: the process crashed"),
        (
            killed(signal.SIGABRT, stderr="Fatal Python error: oops: no\n\nCurrent thread"),
            "a fatal error of the interpreter: oops: no",
        ),
        (
            dataclasses.replace(SKIPPED, last_call=last("_exit", 3)),
            "os._exit(3) was called at app.py:40: it ends the process without handlers",
        ),
        (
            killed(signal.SIGTERM, last_call=last("execv", "/bin/sleep", ["sleep", "5"])),
            "os.execv replaced the program at app.py:40: handlers don't survive that",
        ),
        (
            dataclasses.replace(RAN, handlers=[handler("ran"), handler("skipped")], too_late=True),
            "they were registered while handlers were already running, which is too late",
        ),
    ],
)
def test_the_reason_is_one_sentence_or_unknown(evidence, reason):
    """It never guesses, and says nothing where nothing was skipped."""
    assert reason_of(evidence) == reason
