"""Exit handlers that call docker and kubectl, on a machine that has neither: pytest-subprocess answers (`fp=`)."""

import subprocess
from pathlib import Path
from queue import SimpleQueue

import pytest

from pytest_atexit import CommandNotRegistered, HandlerFailed

PROGRAM = Path(__file__).with_name("program.py")
STOP, DELETE = "docker stop --time 5 web", "kubectl delete pod job"


@pytest.fixture
def docker(fp):
    """A container starts."""
    fp.register(["docker", "run", fp.any()], stdout="4f66ad9a0b2e")
    return fp


def test_container_and_pod_are_gone(capexit, docker):
    """The pod first, for it uses the container: `result.commands` has what was called, and by which handler."""
    docker.register(STOP)
    docker.register(DELETE)
    result = capexit.run(PROGRAM, fp=docker)
    assert [(command.command[0], command.handler) for command in result.commands] == [
        ("docker", None),
        ("kubectl", "delete_pod"),
        ("docker", "stop_container"),
    ]


def test_a_container_that_does_not_stop_fails_the_test(capexit, docker):
    """The handler raises, and Python ignores it: the exit code is 0."""
    docker.register(STOP, stderr="No such container: web", returncode=1)
    docker.register(DELETE)
    with pytest.raises(HandlerFailed) as caught:
        capexit.run(PROGRAM, fp=docker)
    result = caught.value.result
    result.assert_failed("stop_container", subprocess.CalledProcessError)
    assert (result.returncode, result.commands[-1].returncode) == (0, 1)


def test_a_pod_that_stays_is_only_told(capexit, docker):
    """That handler catches what it meets, and the other one still runs."""
    docker.register(STOP)
    docker.register(DELETE, stderr="pods 'job' not found", returncode=1)
    result = capexit.run(PROGRAM, fp=docker)
    assert "the pod stays: Command" in result.stdout
    assert result.ran == ["delete_pod", "stop_container"]


def test_what_is_not_registered_does_not_run(capexit, docker):
    """No pod is deleted for the sake of a test, and the test fails, though the handler swallows the error."""
    docker.register(STOP)
    with pytest.raises(CommandNotRegistered, match=r"'kubectl', 'delete', 'pod', 'job'.* by the handler delete_pod"):
        capexit.run(PROGRAM, fp=docker)


def test_killed_while_the_pod_is_deleted(capexit, docker):
    """The call is known though the program was killed in it; the container goes on."""
    stop, started = docker.register(STOP), SimpleQueue()
    docker.register(DELETE, callback=lambda _: started.get().kill())
    with capexit.start(PROGRAM, fp=docker) as deployment:
        started.put(deployment)
        result = deployment.wait()
    assert (str(result.status), result.unfinished) == ("killed by SIGKILL", ["delete_pod"])
    assert docker.call_count(DELETE) == 1
    assert not stop.was_called()


def test_a_forked_child_stops_the_container_too_early(capexit, docker):
    """It inherits the handlers and runs them at its own end: a defect of the program, and what it did is known."""
    docker.register("docker inspect web")
    stop = docker.register(STOP, occurrences=2)
    docker.register(DELETE, occurrences=2)
    result = capexit.run(PROGRAM, "--check", fp=docker)
    child = result.children[0]
    assert (child.role, child.ran) == ("fork", ["delete_pod", "stop_container"])
    assert stop.call_count() == 2
    assert [command.pid for command in result.commands if command.handler] == [child.pid] * 2 + [result.pid] * 2
