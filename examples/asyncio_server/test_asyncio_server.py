"""An asyncio server under SIGTERM, as a container gets it."""

import signal
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")


def test_sigterm_stops_the_server_in_time(capexit):
    """The loop's signal handler ends the server, and the interpreter runs the exit handlers."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port) as server:
        server.wait_for_signal_handler(signal.SIGTERM)
        server.wait_for_port(port)
        result = server.stop(grace=5)
    print(result)
    assert not result.killed_after_grace
    assert result.grace_used < 5
    assert result.ran == ["close_database"]
    assert result.returncode == 0


def test_a_stubborn_server_is_killed_after_the_grace(capexit):
    """What ignores SIGTERM loses its cleanup."""
    port = capexit.free_port()
    with capexit.start(PROGRAM, port, "stubborn") as server:
        server.wait_for_signal_handler(signal.SIGTERM)
        server.wait_for_port(port)
        result = server.stop(grace=0.5)
    assert result.killed_after_grace
    result.assert_not_ran("close_database", by="SIGKILL")
    assert result.reason == "SIGKILL ended it, for it was still running 0.5 s after SIGTERM"
