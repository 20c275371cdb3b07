"""gunicorn with two workers, and who runs the handler."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def start(capexit, *options):
    port = capexit.free_port()
    command = ["gunicorn", "-b", f"127.0.0.1:{port}", *options, "app:app"]
    gunicorn = capexit.start(command, cwd=FOLDER)
    gunicorn.wait_for_url(f"http://127.0.0.1:{port}/")
    gunicorn.wait_for(lambda: gunicorn.stdout.count("serving") == 2)
    return gunicorn


def test_each_worker_runs_its_handler(capexit):
    """Without --preload, only workers import the application."""
    gunicorn = start(capexit)
    result = gunicorn.stop(grace=10)
    print(result)
    workers = [child for child in result.children if child.registered]
    assert [worker.ran for worker in workers] == [["flush"], ["flush"]]
    assert {worker.role for worker in workers} == {"fork"}
    assert "flush" not in result.registered


def test_preload_runs_one_handler_three_times(capexit):
    """With --preload the master registers it, and both workers inherit it."""
    result = start(capexit, "--preload").stop(grace=10)
    result.assert_ran_once("flush")
    workers = [child for child in result.children if child.ran]
    handlers = [handler for worker in workers for handler in worker.timeline if handler.name == "flush"]
    assert [handler.inherited for handler in handlers] == [True, True]
    with pytest.raises(AssertionError, match="did not run exactly once in all processes together"):
        result.assert_ran_once("flush", tree=True)
