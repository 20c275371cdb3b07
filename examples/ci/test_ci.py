"""Each of these passes. What was skipped, failed quietly or was slow is in the summary and in the reports."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pytest_atexit import HandlerSkipped

APP = Path(__file__).parent / "app.py"


def test_a_quiet_exit(capexit):
    """The story of an exit, as a snapshot."""
    assert capexit.run(APP).children[0].story() == snapshot(
        """\
fork:
  ran           stop_worker(1)
  ran           close_database('app.db', checkpoint=True) (inherited)
  ran           remove_pid_file() (inherited)\
"""
    )


def test_metrics_fail_quietly(capexit):
    """Python ignores it, and the summary names it."""
    result = capexit.run(APP, "--metrics", allow_failures=True)
    assert [child.failed for child in result.children] == [["flush_metrics"], ["flush_metrics"]]


def test_sigkill_skips_all(capexit):
    """No policy can ask for handlers here."""
    assert capexit.run(APP, ending="SIGKILL").skipped == ["remove_pid_file", "close_database"]


@pytest.mark.atexit(must_run=["SIGTERM"])
def test_sigterm_must_run_the_handlers(capexit):
    """It has no signal handler: with this policy the test would fail, and says why."""
    server = capexit.start(APP, "--serve")
    server.wait_for_output("serving")
    with pytest.raises(HandlerSkipped, match="no signal handler was installed"):
        server.stop()
