"""Wherever temporary files, programs and working folders are, programs are recorded; or an error says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interpreters import loaded_from, others

from pytest_atexit import CapExit, ExitResult, LaunchError, NotRecorded
from pytest_atexit._launch import _agent
from pytest_atexit._session import Session

Same = Callable[..., ExitResult]
Script = Callable[..., Path]

HANDLER = "import atexit; atexit.register(print, 'handler')"
# A program that starts another Python, and so on: each has a handler.
GENERATIONS = """
import atexit, subprocess, sys
atexit.register(print, 'handler')
if len(sys.argv) < 3: subprocess.run([sys.executable, __file__, *sys.argv[1:], 'x'], check=True)
"""


@pytest.fixture
def fresh() -> Iterator[Callable[[], CapExit]]:
    """Makes what the fixture hands out, as in a session that begins now: the agent gets a new folder."""
    made: list[tuple[CapExit, Session]] = []

    def make() -> CapExit:
        session = Session()
        made.append((CapExit(session, 30, 2), session))
        return made[-1][0]

    yield make
    for capexit, session in made:
        assert capexit.close() == []
        session.close()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the folder for temporary files, for us and for programs, as TMPDIR at the start of pytest would."""

    def use(folder: str) -> None:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)

    return use


@pytest.fixture(params=[True, False], ids=["shared memory", "no shared memory"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the agent finds the folder in memory that it prefers."""
    if not request.param:
        monkeypatch.setattr(_agent, "MEMORY", "/nowhere")
    elif not os.access(_agent.MEMORY, os.W_OK):
        pytest.skip(f"{_agent.MEMORY} can't be written to")
    return request.param


ODD = {
    "colon": "a:b",
    "space": "a b  c",
    "newline": "a\nb",
    "quotes": "a'b\"c",
    "letter": "ä🙂",
    "undecodable": os.fsdecode(b"\xff\xfe"),
    "equals": "a=b",
    "percent": "100%s",
    "dash": "-c",
    "long": "/".join(["x" * 200] * 15),
}


@pytest.mark.parametrize("name", [name for name in ODD if name != "colon"])
@pytest.mark.usefixtures("memory")
def test_folder_for_temporary_files_may_have_any_name(
    name: str, fresh: Callable[[], CapExit], temporary: Callable[[str], None], tmp_path: Path
) -> None:
    """A program in a folder of that name, and one that it starts, are recorded."""
    folder = tmp_path / ODD[name]
    folder.mkdir(parents=True)
    temporary(str(folder))
    result = fresh().run(GENERATIONS, "x")
    assert (result.ran, [child.ran for child in result.children]) == (["print"], [["print"]])
    assert result.path.parent.parent == folder
    assert result.stdout == "handler\n" * 2


def test_colon_in_the_folder_for_temporary_files(
    memory: bool, fresh: Callable[[], CapExit], temporary: Callable[[str], None], tmp_path: Path
) -> None:
    """PYTHONPATH is split at colons: the agent is elsewhere, or an error says what to do; nothing is left there."""
    folder = tmp_path / "a:b"
    folder.mkdir()
    temporary(str(folder))
    if memory:
        assert fresh().run(HANDLER).ran == ["print"]
        return
    with pytest.raises(LaunchError, match=r"\(see TMPDIR\): .*a:b.* has ':' in its path, where PYTHONPATH is split"):
        fresh().run(HANDLER)
    assert list(folder.iterdir()) == []


def test_relative_folder_for_temporary_files(
    fresh: Callable[[], CapExit],
    temporary: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is taken where it is when the session begins, also by a program that runs elsewhere."""
    monkeypatch.setattr(_agent, "MEMORY", "/nowhere")
    (tmp_path / "relative").mkdir()
    monkeypatch.chdir(tmp_path)
    temporary("relative")
    capexit = fresh()
    assert capexit.run(GENERATIONS, "x", cwd="/").children[0].ran == ["print"]
    monkeypatch.chdir("/")
    assert capexit.run(GENERATIONS, "x").children[0].ran == ["print"]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_another_folder_is_taken_as_tempfile_does(
    kind: str, fresh: Callable[[], CapExit], temporary: Callable[[str], None], tmp_path: Path
) -> None:
    """TMPDIR may name what is no folder: Python's `tempfile` falls back to others."""
    folder = tmp_path / "folder"
    if kind == "file":
        folder.touch()
    temporary(str(folder))
    result = fresh().run(HANDLER)
    assert result.ran == ["print"]
    assert tmp_path not in result.path.parents


def test_no_folder_for_temporary_files(
    memory: bool, fresh: Callable[[], CapExit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none can be used, nothing is started, and the error names the variable."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(LaunchError, match=r"no folder for temporary files can be .* \(see TMPDIR\): .*/nowhere"):
        fresh().run(HANDLER)


def test_folder_for_temporary_files_with_a_path_too_long(
    fresh: Callable[[], CapExit], temporary: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder can be made, the program in it can't be saved: the error says so."""
    longest = os.pathconf(tmp_path, "PC_PATH_MAX") - 1
    room = longest - len(str(tmp_path)) - len("/pytest-atexit-12345678/run-12345678/program.p")
    folder = tmp_path / "/".join(["x" * 99] * (room // 100)) / ("y" * (room % 100 or 1))
    folder.mkdir(parents=True)
    temporary(str(folder))
    with pytest.raises(LaunchError, match=r"the program can't be saved \(see TMPDIR\): .*too long"):
        fresh().run(HANDLER)


@pytest.mark.parametrize("name", ODD)
def test_programs_and_working_folders_may_have_any_name(name: str, same: Same, tmp_path: Path) -> None:
    """A script in a folder of that name, run there, behaves as it does plainly and is recorded."""
    folder = tmp_path / ODD[name]
    folder.mkdir(parents=True)
    program = folder / f"{ODD[name][:9]}.py"
    program.write_text(f"import os; print(ascii([__file__, os.getcwd()]))\n{GENERATIONS}")
    result = same(program, ODD[name], cwd=folder)
    assert (result.ran, [child.ran for child in result.children]) == (["print"], [["print"]])
    assert result.argv[-2:] == [str(program), ODD[name]]
    assert result.handlers[0].where == f"{program.name}:4"


@pytest.mark.parametrize("name", ODD)
def test_command_replays_a_program_of_any_name(name: str, capexit: CapExit, tmp_path: Path) -> None:
    """A shell that reads the command does the same again."""
    program = tmp_path / f"{ODD[name][:9]}.py"
    program.write_text("import sys; print(ascii(sys.argv))")
    result = capexit.run(program, ODD[name], cwd=tmp_path)
    again = subprocess.run(["sh", "-c", result.command], capture_output=True, text=True, check=True)
    assert again.stdout == result.stdout


# ---- what is removed while it is used


def test_working_folder_of_the_tests_that_was_removed(
    capexit: CapExit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program can't begin in it: the error says so, and a program with a folder of its own runs."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.syspath_prepend("")
    gone.rmdir()
    for cwd in (None, "relative"):
        with pytest.raises(LaunchError, match="the working folder of the tests was removed: give the program one with"):
            capexit.run(HANDLER, cwd=cwd)
    result = capexit.run(f"import os; print(os.getcwd())\n{HANDLER}", cwd=tmp_path)
    assert (result.stdout, result.ran) == (f"{tmp_path}\nhandler\n", ["print"])


def test_program_may_remove_its_working_folder(same: Same, script: Script, tmp_path: Path) -> None:
    """What it registers and runs there is recorded, and so is a Python that it starts there."""
    program = script(f"""
        import os, subprocess, sys
        if len(sys.argv) == 1:
            os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())
            subprocess.run([sys.executable, {str(tmp_path / "program.py")!r}, 'child'], check=True)
        {HANDLER}
        """)
    result = same(program, cwd=tmp_path)
    assert (result.ran, [child.ran for child in result.children]) == (["print"], [["print"]])


EMPTIES = """
import os, shutil, subprocess, sys
for path, folders, files in os.walk(os.environ['TMPDIR'], topdown=False):
    for name in files: os.unlink(os.path.join(path, name))
    for name in folders if sys.argv[1] == 'all' else (): os.rmdir(os.path.join(path, name))
import atexit; atexit.register(print, 'handler')
code = "import atexit; atexit.register(print, 'child')"
subprocess.run([sys.executable, '-c', code], check=True)
"""


@pytest.mark.parametrize("what", ["all", "files"])
def test_program_may_empty_the_folder_for_temporary_files(
    what: str, memory: bool, fresh: Callable[[], CapExit], temporary: Callable[[str], None], tmp_path: Path
) -> None:
    """What it starts after that is recorded; or, where the agent has gone too, the run says so. The next one works."""
    temporary(str(tmp_path))
    capexit = fresh()
    if memory:
        result = capexit.run(EMPTIES, what)
        assert (result.ran, [child.ran for child in result.children]) == (["print"], [["print"]])
    else:
        with pytest.raises(NotRecorded, match="Python processes that it started may be missing"):
            capexit.run(EMPTIES, what)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert capexit.run(GENERATIONS, "x").children[0].ran == ["print"]


REMOVES_THE_AGENT = f"""
import os, shutil
entry = os.environ['PYTHONPATH'].split(os.pathsep)[0]
(os.unlink if os.path.isfile(entry) else shutil.rmtree)(entry)
{HANDLER}
"""


@pytest.mark.parametrize("variables", [{}, {"PYTHONPYCACHEPREFIX": "/nowhere"}])
def test_agent_that_is_removed(variables: dict[str, str], fresh: Callable[[], CapExit]) -> None:
    """The run during which it went says that processes may be missing, with all it knows; the others are whole."""
    capexit = fresh()
    before = capexit.start(HANDLER)
    assert before.wait().ran == ["print"]
    with pytest.raises(NotRecorded, match="/(pytest-)?atexit-.* was removed, from which Python loads") as caught:
        capexit.run(REMOVES_THE_AGENT, env=variables)
    assert caught.value.result.ran == ["print"]
    assert before.wait().ran == ["print"]
    result = capexit.run(GENERATIONS, "x", env=variables, python_args=["-vv"])
    assert [child.ran for child in result.children] == [["print"]]
    assert loaded_from(result.stderr)[0].endswith(".pyc")


def test_folder_of_the_runs_that_is_removed(capexit: CapExit) -> None:
    """A test may remove what it knows as `result.path`: the next run gets a new one."""
    shutil.rmtree(capexit.run(HANDLER).path.parent)
    assert capexit.run(HANDLER).path.exists()


# ---- what is no interpreter


@pytest.fixture
def executable(tmp_path: Path) -> Callable[[str], Path]:
    """Saves a text as a file that can be executed."""

    def save(text: str) -> Path:
        path = tmp_path / "python"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return save


def test_interpreter_that_is_none(capexit: CapExit) -> None:
    """A program that ignores its arguments ran, and nothing was recorded."""
    with pytest.raises(NotRecorded, match=r"the program ran \(exit code 0\), but was not recorded"):
        capexit.run(HANDLER, python=shutil.which("true"))


def test_interpreter_that_is_no_program(capexit: CapExit, executable: Callable[[str], Path]) -> None:
    """What the kernel doesn't execute is not started."""
    with pytest.raises(LaunchError, match=r"python could not be started: .*Exec format error"):
        capexit.run(HANDLER, python=executable("no program"))


def test_interpreter_that_is_broken(capexit: CapExit, executable: Callable[[str], Path]) -> None:
    """The error shows what the interpreter said."""
    python = executable(f'#!/bin/sh\nPYTHONHOME=/nowhere exec {sys.executable} -B "$@"\n')
    with pytest.raises(NotRecorded, match="encodings"):
        capexit.run(HANDLER, python=python)


def test_interpreter_that_does_not_compile_in_time(
    fresh: Callable[[], CapExit], executable: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs when it is asked to is ended, and compiles at the start instead."""
    python = executable(f'#!/bin/sh\n[ "$1" = -I ] && exec sleep 1000\nexec {sys.executable} "$@"\n')
    monkeypatch.setattr(_agent, "PATIENCE", 0.1)
    assert fresh().run(HANDLER, python=python).ran == ["print"]


def test_wrapper_of_an_interpreter(capexit: CapExit, executable: Callable[[str], Path]) -> None:
    """A script that executes an interpreter is one, too."""
    other = next(iter(others().values()), sys.executable)
    result = capexit.run(HANDLER, python=executable(f'#!/bin/sh\nexec {other} "$@"\n'), python_args=["-vv"])
    assert result.ran == ["print"]
    assert loaded_from(result.stderr)[0].endswith(".pyc")
