"""Flask's debug reloader is two processes, and both import the program."""

from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")


def test_ctrl_c_runs_the_handler_in_both_processes(capexit):
    """A terminal sends SIGINT to the whole process group; what takes the server more than 0.25 s is cut off."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port) as app:
        app.wait_for_url(f"http://127.0.0.1:{port}/")
        app.interrupt()
        result = app.wait()
    server = next(child for child in result.children if child.registered)
    print(result)
    assert (result.role, server.role) == ("main", "subprocess")
    assert server.parent_pid == result.pid
    assert result.ran == server.ran == ["OnExitApp"]


def test_sigterm_to_the_reloader_kills_the_server(capexit):
    """The reloader exits in order; the server gets SIGKILL from it, and its handler never runs."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port) as app:
        app.wait_for_url(f"http://127.0.0.1:{port}/")
        result = app.stop(grace=5)
    server = next(child for child in result.children if child.registered)
    assert result.ran == ["OnExitApp"]
    server.assert_not_ran("OnExitApp")
    assert server.skipped == ["OnExitApp"]
