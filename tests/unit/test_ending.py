"""Endings by name, and statuses."""

import signal

import pytest

from pytest_atexit import Ending, ExitStatus, LaunchError
from pytest_atexit._ending import SIGNALS, as_ending, source_of


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sigterm", Ending.SIGTERM),
        ("SIGTERM", Ending.SIGTERM),
        (signal.SIGTERM, Ending.SIGTERM),
        (int(signal.SIGKILL), Ending.SIGKILL),
        ("os._exit", Ending.OS_EXIT),
        ("OS_EXIT", Ending.OS_EXIT),
        ("Sys.Exit", Ending.SYS_EXIT),
        ("fatal_error", Ending.FATAL_ERROR),
        ("Fatal Error", Ending.FATAL_ERROR),
        (Ending.EXEC, Ending.EXEC),
    ],
)
def test_an_ending_is_found_by_name_in_any_case_and_by_signal(given, expected):
    """Names as a user would write them all mean the same ending."""
    assert as_ending(given) is expected


@pytest.mark.parametrize("unknown", ["SIGWHATEVER", "", "exit", 3.5, None, 4711])
def test_an_unknown_ending_lists_those_there_are(unknown):
    """The message helps to find the right word."""
    with pytest.raises(LaunchError, match=r"there is no ending .*'SIGTERM'"):
        as_ending(unknown)


def test_an_ending_reads_as_its_name():
    """In messages an ending is a plain word."""
    assert f"{Ending.OS_EXIT} {Ending.SIGTERM!s:>10}" == "os._exit    SIGTERM"


def test_only_return_has_nothing_to_do():
    """Every other ending is a line of Python."""
    assert [ending for ending in Ending if not source_of(ending)] == [Ending.RETURN]


@pytest.mark.parametrize(
    ("returncode", "text"),
    [(0, "exit code 0"), (3, "exit code 3"), (-15, "killed by SIGTERM"), (-9, "killed by SIGKILL")],
)
def test_a_status_is_an_exit_code_or_a_signal(returncode, text):
    """It reads as a sentence would say it, and gives the returncode back."""
    status = ExitStatus.from_returncode(returncode)
    assert str(status) == text
    assert status.returncode == returncode
    assert (status.code is None) != (status.signal is None)


def test_a_signal_that_the_platform_lacks_is_an_error(monkeypatch):
    """It can't be sent, and nothing is started."""
    monkeypatch.delitem(SIGNALS, Ending.SIGUSR1)
    with pytest.raises(LaunchError, match="this platform has no SIGUSR1"):
        source_of(Ending.SIGUSR1)
