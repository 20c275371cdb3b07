"""Real programs of several processes: each process is what it is, and runs what its handlers say. A long proof."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import CapExit, ExitResult, ExitStatus, ProcessRecord

pytestmark = pytest.mark.slow

Web = Callable[..., ExitResult]

# A handler that says in which process it runs.
HANDLER = """
import atexit, os
def close():
    os.write(2, b"ran in %d\\n" % os.getpid())
atexit.register(close)
"""
ASGI = (
    HANDLER
    + """
async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
"""
)
WSGI = (
    HANDLER
    + """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""
)
CELERY = "from celery import Celery\napp = Celery('app', broker='memory://', backend='cache+memory://')\n" + HANDLER
DAEMON = """
import atexit, daemon, os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def close():
    os.write(log, b"ran in %d\\n" % os.getpid())
atexit.register(close)
with daemon.DaemonContext(files_preserve=[log], working_directory="/"):
    pass
"""


def ran(records: list[ProcessRecord]) -> dict[int, int]:
    """Returns how often the handler was called in each process, by pid."""
    return {record.pid: record.ran.count("close") for record in records if "close" in record.ran}


def said(text: str) -> dict[int, int]:
    """Returns the same as the handlers said it."""
    pids = re.findall(r"^ran in (\d+)$", text, re.MULTILINE)
    return {int(pid): pids.count(pid) for pid in pids}


def processes(result: ExitResult) -> list[tuple[str, bool, ExitStatus | None, bool, list[str]]]:
    """Returns of each child but helpers: role, whether the main one started it, status, inherited, what ran."""
    return [
        (
            child.role,
            child.parent_pid == result.pid,
            child.status,
            any(handler.inherited for handler in child.handlers if handler.name == "close"),
            [name for name in child.ran if name == "close"],
        )
        for child in result.children
        if child.role != "helper"
    ]


@pytest.fixture
def web(capexit: CapExit, tmp_path: Path) -> Web:
    """Starts a server until it has served, and ends it by a signal."""

    def serve(text: str, command: list[str], port_option: str, until: str, end: str) -> ExitResult:
        (tmp_path / "app.py").write_text(text)
        port = capexit.free_port()
        address = [port_option, str(port)] if port_option == "--port" else [port_option, f"127.0.0.1:{port}"]
        home = {"HOME": str(tmp_path)}
        with capexit.start([*command, *address, "app:app"], cwd=tmp_path, env=home) as server:
            server.wait_for_url(f"http://127.0.0.1:{port}/")
            server.wait_for_output(until)
            if end == "SIGTERM":
                result = server.stop()
            else:
                server.interrupt()
                result = server.wait()
        assert ran([result, *result.children]) == said(result.stderr)
        return result

    return serve


CODE_0, SIGTERM = ExitStatus(code=0), ExitStatus(signal=15)
STARTED = "startup complete"


@pytest.mark.parametrize("preload", [False, True], ids=["each imports the program", "preload"])
def test_gunicorn(preload: bool, web: Web) -> None:
    """Workers are forks; with --preload they inherit what the master registered, and all three run it."""
    options = ["--preload"] if preload else []
    booted = "(?s)Booting worker.*Booting worker"
    result = web(WSGI, ["gunicorn", "-w", "2", *options], "-b", booted, "SIGTERM")
    workers = processes(result)
    # Without --preload a worker that was started last may be ended before it has imported the program.
    assert workers[0] == ("fork", True, CODE_0, preload, ["close"])
    assert [worker[:4] for worker in workers] == [("fork", True, CODE_0, preload)] * 2 or not preload
    assert result.ran.count("close") == preload
    if preload:
        with pytest.raises(AssertionError, match="did not run exactly once in all processes together"):
            result.assert_ran_once("close", tree=True)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT"])
def test_uvicorn(end: str, web: Web) -> None:
    """It ends itself by the signal that it got in the end, and that by SIGTERM runs no handlers."""
    result = web(ASGI, [sys.executable, "-m", "uvicorn"], "--port", STARTED, end)
    assert processes(result) == []
    assert (result.ran, result.skipped) == (([], ["close"]) if end == "SIGTERM" else (["close"], []))


def test_uvicorn_with_reload(web: Web) -> None:
    """The server is a worker of multiprocessing, which the reloader ends by SIGTERM."""
    result = web(ASGI, [sys.executable, "-m", "uvicorn", "--reload"], "--port", STARTED, "SIGINT")
    assert processes(result) == [("multiprocessing", True, SIGTERM, False, [])]
    assert "close" not in result.registered


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT"])
def test_uvicorn_with_workers(end: str, web: Web) -> None:
    """Workers are of multiprocessing; Ctrl-C reaches them, and so they run their handlers."""
    command = [sys.executable, "-m", "uvicorn", "--workers", "2"]
    result = web(ASGI, command, "--port", f"(?s){STARTED}.*{STARTED}", end)
    one = (SIGTERM, False, []) if end == "SIGTERM" else (CODE_0, False, ["close"])
    assert processes(result) == [("multiprocessing", True, *one)] * 2


def test_celery(capexit: CapExit, tmp_path: Path) -> None:
    """Workers of its pool are of multiprocessing, and end by `os._exit`: what they inherited never runs there."""
    (tmp_path / "app.py").write_text(CELERY)
    options = ["-A", "app", "worker", "-c", "2", "-P", "prefork", "-l", "INFO", "--without-mingle", "--without-gossip"]
    with capexit.start([sys.executable, "-m", "celery", *options], cwd=tmp_path) as worker:
        worker.wait_for_output("ready")
        result = worker.stop()
    assert ran([result, *result.children]) == said(result.stderr) == {result.pid: 1}
    assert processes(result) == [("multiprocessing", True, CODE_0, True, [])] * 2
    assert all("close" in child.skipped for child in result.children if child.role == "multiprocessing")
    result.assert_ran_once("close", tree=True)


def test_python_daemon(capexit: CapExit, tmp_path: Path) -> None:
    """The daemon is a fork of a fork, and runs what it inherited; the other two leave by `os._exit`."""
    log = tmp_path / "log"
    (tmp_path / "app.py").write_text(DAEMON)
    result = capexit.run(tmp_path / "app.py", str(log))
    middle, daemon = result.children
    assert (middle.role, middle.parent_pid, middle.skipped) == ("fork", result.pid, ["close"])
    assert (daemon.role, daemon.parent_pid, daemon.ran.count("close")) == ("fork", middle.pid, 1)
    assert daemon.status is None  # nobody was told
    assert ran([result, *result.children]) == said(log.read_text()) == {daemon.pid: 1}
    result.assert_ran_once("close", tree=True)
