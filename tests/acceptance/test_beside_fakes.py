"""Beside fakes of subprocess: the plugin's own processes are real, and the fake knows nothing of them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from pytest_subprocess import FakeProcess
from pytest_subprocess.exceptions import ProcessNotRegisteredError

from pytest_atexit import CapExit

Inner = Callable[..., pytest.RunResult]
Load = Callable[..., None]

PROGRAM = "import atexit; atexit.register(print, 'real')"
# The same interpreter by another path is another one to the plugin: it is asked to prepare the agent's bytecode.
OTHER = os.path.realpath(sys.executable)


@pytest.mark.parametrize("python", [None, OTHER], ids=["same", "other"])
@pytest.mark.parametrize(
    "prepare",
    [
        lambda fp: None,
        lambda fp: fp.allow_unregistered(False),
        lambda fp: fp.register([fp.any()], stdout="fake", occurrences=100),
        lambda fp: (fp.keep_last_process(True), fp.register([fp.any()], stdout="fake")),
    ],
    ids=["nothing", "allow_unregistered", "any", "keep_last_process"],
)
def test_programs_are_real_whatever_is_faked(fp: FakeProcess, capexit: CapExit, prepare, python) -> None:
    """Run and started programs are recorded, and the fake saw none of the plugin's calls."""
    prepare(fp)
    result = capexit.run(PROGRAM, python=python, python_args=["-O"])
    assert (result.stdout, result.ran) == ("real\n", ["print"])
    with capexit.start("import atexit, time\natexit.register(print)\ntime.sleep(60)", python=python) as program:
        program.wait_for_handlers("print")
        assert program.stop(signal="SIGKILL").ending == "SIGKILL"
    assert list(fp.calls) == []


def test_the_fake_goes_on_answering_for_the_test(fp: FakeProcess, capexit: CapExit) -> None:
    """Beside a real program, what is registered is faked and what is not is refused."""
    fp.register(["docker", "ps"], stdout="fake", occurrences=2)
    capexit.run(PROGRAM)
    assert subprocess.check_output(["docker", "ps"]) == b"fake"
    with capexit.start("import time\ntime.sleep(60)"):
        assert subprocess.check_output(["docker", "ps"]) == b"fake"
        with pytest.raises(ProcessNotRegisteredError):
            subprocess.run([sys.executable, "-c", ""], check=True)


def test_asyncio_is_faked_beside_a_real_program(fp: FakeProcess, capexit: CapExit) -> None:
    """The fake of asyncio's functions is the library's own, too."""

    async def ask() -> bytes:
        process = await asyncio.create_subprocess_exec("docker", "ps", stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0]

    fp.register(["docker", "ps"], stdout="fake")
    with capexit.start("import time\ntime.sleep(60)"):
        assert asyncio.run(ask()) == b"fake"


@pytest.mark.parametrize(
    ("fixtures", "fake"),
    [
        ("fp, capexit", "fp.register([fp.any()], stdout='fake', occurrences=100)"),
        ("capexit, fp", "fp.register([fp.any()], stdout='fake', occurrences=100)"),
        ("capexit, fp", "fp.allow_unregistered(False)"),
        ("monkeypatch, capexit", "monkeypatch.setattr(subprocess, 'Popen', mock.Mock())"),
        ("mocked, capexit", "assert isinstance(subprocess.Popen, mock.Mock)"),
    ],
)
def test_a_fake_before_the_first_launch(inner: Inner, load: Load, fixtures: str, fake: str) -> None:
    """The first launch of a session finds the real Popen, and another interpreter really prepares the bytecode."""
    load("pytest-subprocess")
    result = inner(
        f"""
        import os, pytest, subprocess, sys
        from unittest import mock

        @pytest.fixture
        def mocked(monkeypatch):
            monkeypatch.setattr(subprocess, "Popen", mock.Mock())

        def test_first({fixtures}):
            {fake}
            other = os.path.realpath(sys.executable)
            result = capexit.run({PROGRAM!r}, python=other, python_args=["-O"])
            assert (result.stdout, result.ran) == ("real\\n", ["print"])
            bytecode = os.listdir(capexit._session.agent.folder / "__pycache__")
            assert [name for name in bytecode if name.endswith(".opt-1.pyc")]
        """
    )
    result.assert_outcomes(passed=1)


def test_without_the_plugin_of_the_fake(inner: Inner) -> None:
    """pytest-subprocess need not be loaded."""
    result = inner(
        f"""
        def test_it(capexit):
            assert capexit.run({PROGRAM!r}).ran == ["print"]
        """,
    )
    result.assert_outcomes(passed=1)
