"""Flask with a scheduler that its exit handler shuts down."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def app(capexit):
    """The running application: it answers, and its job has run."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port) as program:
        program.wait_for_url(f"http://127.0.0.1:{port}/")
        program.wait_for_output("Scheduler is alive!")
        yield program


def test_ctrl_c_stops_the_scheduler_before_the_database_closes(app):
    """Last in, first out: what was registered last must be what uses the rest."""
    app.interrupt()
    result = app.wait()
    print(result)
    result.assert_order("OnExitApp", "close_database")
    assert result.stdout.endswith("Exit Flask application\ndatabase closed\n")
    result.assert_within(seconds=10)


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL"])
def test_signals_skip_both(app, ending):
    """The scheduler is not shut down, and the database not closed."""
    if ending == "SIGTERM":
        app.terminate()
    else:
        app.kill()
    app.wait().assert_not_ran("OnExitApp", "close_database", by=ending)
