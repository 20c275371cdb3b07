"""The awkward moment: a second signal comes while a slow exit handler runs."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def report(tmp_path):
    return tmp_path / "report"


@pytest.fixture
def worker(capexit, tmp_path, report):
    with capexit.start(PROGRAM, tmp_path / "draft", report) as worker:
        worker.wait_for_output("ready\n")
        yield worker


def test_one_sigterm_is_orderly(worker, report):
    """Without a second signal the report is written."""
    result = worker.stop(grace=10)
    assert result.ran == ["write_report", "close_database"]
    assert len(report.read_text().splitlines()) == 10


def test_a_second_ctrl_c_loses_the_report(worker, report):
    """KeyboardInterrupt comes out of the handler that runs; Python reports it, and the database is closed."""
    moment = worker.during("write_report")
    worker.interrupt()
    with moment:
        worker.interrupt()
        worker.wait_for_output("ignored")
    result = worker.wait(allow_failures=True)
    result.assert_failed("write_report", KeyboardInterrupt)
    assert result.ran == ["write_report", "close_database"]
    assert not report.exists()


def test_a_second_sigterm_loses_the_report(worker, report):
    """What the signal handler raises comes out of the handler, and the exit code is that of the first one."""
    moment = worker.during("write_report")
    worker.terminate()
    with moment:
        worker.terminate()
        worker.wait_for_output("ignored")
    result = worker.wait(allow_failures=True)
    result.assert_failed("write_report", SystemExit, match="stopped")
    assert result.stdout == "ready\ndatabase closed\n"
    assert str(result.status) == "exit code 1"
    assert not report.exists()


def test_killed_while_it_closes_the_database(worker, report):
    """The report has been written by then."""
    moment = worker.during("close_database")
    worker.terminate()
    with moment:
        worker.kill()
    result = worker.wait()
    assert result.unfinished == ["close_database"]
    assert report.exists()
