"""Each of these passes. What was skipped, failed quietly or was slow is in the summary and in the reports."""

import atexit
import os
import subprocess
import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pytest_atexit import HandlerSkipped

APP = Path(__file__).parent / "shop.py"


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


@pytest.mark.atexit(guard="warn")  # as pytest.ini says; and where this file is run with another one
@pytest.mark.filterwarnings("default:.*left a handler")
def test_a_handler_is_left_in_pytest():
    """The process would end by it, with code 0: the guard names it, and takes it out."""
    atexit.register(os._exit, 0)


def test_imports_are_quiet(capexit):
    """The program does all in main(); another module starts to work when it is imported."""
    capexit.assert_quiet_import("shop")
    with pytest.raises(AssertionError, match=r"exit handler send\(\), registered at .*telemetry\.py:11"):
        capexit.assert_quiet_import("telemetry", allow=["sender"])


def test_outside_of_tests(tmp_path):
    """`python -m pytest_atexit` runs it as ever, and tells its exit on stderr, in JSON and on a page."""
    files = tmp_path / "shop.json", tmp_path / "shop.html"
    options = [f"--{file.suffix[1:]}={file}" for file in files]
    done = subprocess.run([sys.executable, "-m", "pytest_atexit", *options, APP], capture_output=True, check=True)
    assert b"ran  close_database('app.db', checkpoint=True)" in done.stderr
    assert all(file.stat().st_size for file in files)
