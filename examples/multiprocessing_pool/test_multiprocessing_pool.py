"""A multiprocessing pool: whether workers run their handlers depends on the start method and the version of Python."""

import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")
RUN = ["print"]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_run_their_own_handlers(capexit, method):
    """A spawned worker exits as any Python does; a forked one runs its handlers since Python 3.13."""
    result = capexit.run(PROGRAM, method)
    workers = [child for child in result.children if child.role == "multiprocessing" and child.registered]
    expected = RUN if method == "spawn" or sys.version_info >= (3, 13) else []
    own = [[handler.name for handler in w.timeline if handler.name == "print"] for w in workers]
    assert own == [expected, expected]
    assert result.ran == RUN


@pytest.mark.parametrize(("method", "helpers"), [("fork", False), ("spawn", True)])
def test_helpers_are_told_from_workers(capexit, method, helpers):
    """Every Python process below the main one is recorded; multiprocessing's own trackers and servers have a role."""
    roles = [child.role for child in capexit.run(PROGRAM, method).children]
    assert roles.count("multiprocessing") == 2
    assert ("helper" in roles) is helpers


def test_a_worker_never_runs_what_it_inherited(capexit):
    """The main process's handler runs there, and nowhere else."""
    result = capexit.run(PROGRAM, "fork")
    inherited = [handler for child in result.children for handler in child.timeline if handler.inherited]
    assert inherited == []
