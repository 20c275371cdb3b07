"""Code that terminates, waits and kills, against workers that obey and workers that don't."""

import signal
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def register(fp):
    """A function that registers a worker which runs for a minute, or until one of these signals; others it ignores."""

    def worker(queue, *deadly):
        def receive(process, signum):
            if signum in deadly:
                process.returncode = -signum

        return fp.register(["worker", "--queue", queue], wait=60, signal_callback=receive)

    return worker


def test_workers_that_obey_are_not_killed(capexit, fp, register):
    """SIGTERM is enough."""
    workers = [register(queue, signal.SIGTERM) for queue in ("mail", "images")]
    result = capexit.run(PROGRAM, "worker", fp=fp)
    assert [worker.first_call.received_signals() for worker in workers] == [(signal.SIGTERM,)] * 2
    assert [command.returncode for command in result.commands] == [-signal.SIGTERM] * 2


def test_a_worker_that_ignores_sigterm_is_killed(capexit, fp, register):
    """`wait(timeout=…)` raises as long as it lives."""
    register("mail", signal.SIGTERM)
    stubborn = register("images", signal.SIGKILL)
    result = capexit.run(PROGRAM, "worker", fp=fp)
    assert stubborn.first_call.received_signals() == (signal.SIGTERM, signal.SIGKILL)
    assert "killed ['worker', '--queue', 'images']" in result.stdout
    assert [command.returncode for command in result.commands] == [-signal.SIGTERM, -signal.SIGKILL]
    assert result.left_running == []
