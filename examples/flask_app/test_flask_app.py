"""A Flask application with an exit handler: which endings run it."""

import http.client
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def app(capexit):
    """The running application: it answers."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port) as program:
        program.wait_for_url(f"http://127.0.0.1:{port}/")
        program.port = port
        yield program


def get(program, path):
    """Ask for a page of a program that may not survive it."""
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, ConnectionError)):
        urllib.request.urlopen(f"http://127.0.0.1:{program.port}{path}", timeout=10)


def test_ctrl_c_runs_the_handler(app):
    """Flask's own server ends by KeyboardInterrupt, and then in order."""
    app.interrupt()
    result = app.wait()
    print(result)
    assert result.ran == ["OnExitApp"]
    (handler,) = [handler for handler in result.timeline if handler.name == "OnExitApp"]
    assert handler.kwargs == {"user": "Ng Wai Foong"}
    assert "Ng Wai Foong exit Flask application" in result.stdout


def test_sigterm_skips_the_handler(app):
    """What `docker stop` and Kubernetes send skips it: nobody handles SIGTERM."""
    result = app.stop(grace=5)
    result.assert_not_ran("OnExitApp", by="SIGTERM")
    assert result.reason == "SIGTERM had its default action: no signal handler was installed"
    assert not result.killed_after_grace


def test_sigkill_skips_the_handler(app):
    """Nothing runs at SIGKILL."""
    app.kill()
    app.wait().assert_not_ran("OnExitApp", by="SIGKILL")


def test_os_exit_skips_the_handler(app):
    """A view that calls os._exit ends the whole server, and the reason says where it was."""
    get(app, "/give-up")
    result = app.wait()
    result.assert_not_ran("OnExitApp", by="os._exit")
    assert "os._exit(3) was called at" in result.reason
    assert "program.py:25" in result.reason


@pytest.mark.parametrize(("path", "ending"), [("/crash", "abort"), ("/fatal", "fatal error")])
def test_a_crash_skips_the_handler(app, path, ending):
    """So does whatever ends the interpreter itself."""
    get(app, path)
    app.wait().assert_not_ran("OnExitApp", by=ending)


def test_a_signal_handler_makes_sigterm_graceful(capexit):
    """With a signal handler that raises SystemExit, the handler runs."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port, "graceful") as app:
        app.wait_for_signal_handler(signal.SIGTERM)
        app.wait_for_port(port)
        result = app.stop(grace=5)
    result.assert_ran_once("OnExitApp")
    assert result.returncode == 0
