"""A program that became another Python program, which was not recorded, and what was in the way."""

import os
import sys
from pathlib import Path

import pytest

from pytest_atexit._events import LastCall, ProcessBegan
from pytest_atexit._launch._replaced import replacement
from pytest_atexit._replay import Call, Life

PID = 7
AGENT = "/tmp/agent"


def life(*calls, time=1):
    made = Life(ProcessBegan(time=time, kind="start", pid=PID, parent_pid=1))
    for call in calls:
        made.apply(call)
    return made


def call(*args, function="execv", path=None):
    return LastCall(time=5, function=function, file="app.py", line=40, thread="", args=args, path=path)


def lines(*lives, cwd="/"):
    found = replacement(lives, PID, str(cwd), AGENT)
    return found and found.lines()


@pytest.mark.parametrize(
    "last",
    [
        call(3, function="_exit"),
        call("/bin/true", ["true"]),
        call("/no/such/file", ["python"]),
        call(b"/bin/sh", ("sh", "-c", "exec python -S")),
        call(sys.executable, [sys.executable, "-I", "-S", "-c", ""]),
        call(sys.executable, ["python", "--version"]),
        call(sys.executable, ["python", "-VV"]),
        call(),
        call(path="/"),
    ],
)
def test_what_runs_no_python_program_lacks_no_record(last):
    """What is no Python, what has no program, and what can't be known."""
    assert lines(life(last)) is None


def test_a_program_that_came_to_be_recorded():
    """The last program of the process counts."""
    assert lines(life(call(sys.executable, ["python", "app.py"])), life(time=6)) is None


def test_a_program_that_went_on():
    """A call that raised something that nobody noted replaced nothing."""
    first = life(call(sys.executable, ["python", "app.py"]))
    assert lines(first) is not None
    first.calls.append(Call(None, started=6))
    assert lines(first) is None


@pytest.mark.parametrize("executable", [sys.executable, os.fsencode(sys.executable)])
def test_flags_that_keep_the_recorder_out(executable):
    """They are named, each for itself."""
    assert lines(life(call(executable, ("python", "-OIS", "app.py", "-E")))) == [
        f"it was replaced (exec) by: {sys.executable} -OIS app.py -E",
        "The recorder is loaded through PYTHONPATH, and -I -S keeps it out.",
    ]


@pytest.mark.parametrize(
    "module", ["sitecustomize.py", "sitecustomize/__init__.py", "sitecustomize.cpython-311-x86_64-linux-gnu.so"]
)
def test_a_module_in_front_of_the_recorder(tmp_path, module):
    """The first one on PYTHONPATH is named; those behind the recorder are not in its way."""
    for folder in ("empty", "front", "behind"):
        (tmp_path / folder / module).parent.mkdir(parents=True)
    (tmp_path / "front" / module).touch()
    (tmp_path / "behind" / module).touch()

    def obstacle(*entries):
        path = os.pathsep.join(str(entry) for entry in entries)
        return lines(life(call(sys.executable, ["python", "app.py"], path=path)), cwd=tmp_path)[1:]

    front, behind = tmp_path / "front", tmp_path / "behind"
    assert obstacle(tmp_path / "empty", front, AGENT, behind) == [
        f"{front / module} is in front of the recorder on PYTHONPATH, and did not hand over to it.",
        "The recorder itself does hand over: let the test run the program without what puts that file",
        f"there, and with env={{'PYTHONPATH': '{front}'}}.",
    ]
    assert obstacle(Path("front"), AGENT)[0].startswith(str(front / module))
    assert obstacle(AGENT, behind) == ["The recorder was on its PYTHONPATH, but did not come to be loaded."]
    assert obstacle(front) == ["The recorder is loaded through PYTHONPATH, from which its folder had been removed."]
