"""Environments: venvs, uv's, ones that can't be written to, and pytest's own interpreter in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipapp
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from interpreters import loaded_from
from outcomes import Outcome

import pytest_atexit
from pytest_atexit import ExitResult

Same = Callable[..., ExitResult]
Recorded = Callable[..., ExitResult]
Plainly = Callable[..., Outcome]
Script = Callable[..., Path]

# A library of the environment with a handler, and a program that uses it and shows where it is.
LIBRARY = "import atexit\n@atexit.register\ndef close_library(): print('library closed')\n"
PROGRAM = "import atexit, library, sys; atexit.register(print, sys.prefix, sys.path[1:], library.__file__)"


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/*/site-packages")
    return found


@pytest.mark.parametrize("system", [False, True], ids=["alone", "with system site packages"])
def test_virtual_environments_are_used_as_they_are(system: bool, same: Same, script: Script, tmp_path: Path) -> None:
    """A venv needs nothing installed: its interpreter finds its own libraries, and those of the system if it may."""
    venv.create(tmp_path / "venv", system_site_packages=system, symlinks=True, with_pip=False)
    (site_packages(tmp_path / "venv") / "library.py").write_text(LIBRARY)
    program = script(f"{PROGRAM}\ntry: import pytest; print('pytest is there')\nexcept ImportError: print('no pytest')")
    python = tmp_path / "venv/bin/python"
    result = same([python, program])
    assert result.ran == ["print", "close_library"]
    assert result.handlers[0].origin == "library"
    assert str(tmp_path / "venv") in result.stdout


def test_libraries_of_a_virtual_environment_are_loaded_through_its_pth_files(
    same: Same, script: Script, tmp_path: Path
) -> None:
    """What a .pth file adds to the path is there, and a handler that one registers is counted as unrecorded."""
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    script(LIBRARY, "elsewhere/library.py")
    (site_packages(tmp_path / "venv") / "added.pth").write_text(f"{tmp_path / 'elsewhere'}\nimport library\n")
    result = same([tmp_path / "venv/bin/python", script(PROGRAM)])
    assert (result.ran, result.unrecorded) == (["print"], 1)
    assert "library closed" in result.stdout


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """A function that returns a command line of uv's which needs no network."""
    executable = shutil.which("uv", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    if executable is None:
        pytest.skip("uv is not installed")
    cache = str(tmp_path_factory.mktemp("uv"))
    return lambda *args: [executable, *args, "--offline", "--no-config", "--no-progress", "--cache-dir", cache]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the library."""
    path = tmp_path_factory.mktemp("wheel") / "library-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("library.py", LIBRARY)
        archive.writestr("library-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: library\nVersion: 1\n")
        archive.writestr(
            "library-1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("library-1.dist-info/RECORD", "")
    return path


@pytest.fixture(scope="module")
def uv_environment(uv: Callable[..., list[str]], wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that uv made, with the library that uv installed."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run(uv("venv", "--quiet", "--python", sys.executable, str(folder)), check=True)
    python = str(folder / "bin/python")
    subprocess.run(uv("pip", "install", "--quiet", "--python", python, "--no-index", str(wheel)), check=True)
    return folder


def test_environments_of_uv_are_used_as_they_are(
    same: Same, recorded: Recorded, script: Script, uv_environment: Path
) -> None:
    """Nothing in them is bytecode: a program is recorded there, and the agent has its own."""
    assert not list(site_packages(uv_environment).rglob("*.pyc"))
    python, program = uv_environment / "bin/python", script(PROGRAM)
    assert same([python, "-B", program]).ran == ["print", "close_library"]
    result = recorded(program, python=python, python_args=["-vv", "-B"])
    assert result.ran == ["print", "close_library"]
    assert loaded_from(result.stderr)[0].endswith(".pyc")
    assert not list(site_packages(uv_environment).rglob("library*.pyc"))


def test_programs_that_uv_runs_are_recorded(
    same: Same, script: Script, uv: Callable[..., list[str]], uv_environment: Path
) -> None:
    """`uv run` starts a Python: that is the result's main process."""
    command = uv("run", "--no-project", "--python", str(uv_environment / "bin/python"))
    result = same([*command, str(script(PROGRAM)), "argument"])
    assert result.ran == ["print", "close_library"]
    assert result.argv[-1] == "argument"


# ---- where the plugin itself can't be written to


def read_only(folder: Path) -> list[str]:
    """Returns what goes in front of a command for which the folder can't be written to, not even as root."""
    if os.geteuid():
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        return []
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, str(folder)]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root can write everywhere, and this system lets it mount nothing")
    return prefix


INNER = """
import errno, os, sys
import pytest, pytest_atexit
from interpreters import loaded_from, others

def test_it_can_not_be_written_to():
    with pytest.raises(OSError) as caught:
        open(os.path.join(os.path.dirname(pytest_atexit.__file__), "file"), "w")
    assert caught.value.errno in (errno.EROFS, errno.EACCES)
    assert pytest_atexit.__file__.startswith(FOLDER)

@pytest.mark.parametrize("variables", [{}, {"PYTHONPYCACHEPREFIX": "/nowhere"}])
@pytest.mark.parametrize("python", [sys.executable, *others().values()][:2])
def test_programs_are_recorded(capexit, python, variables):
    result = capexit.run("import atexit; atexit.register(print)", python=python, python_args=["-vv"], env=variables)
    assert result.ran == ["print"]
    assert loaded_from(result.stderr)[0].endswith(".pyc")
"""


def test_plugin_in_a_folder_that_can_not_be_written_to(tmp_path: Path, environment: dict[str, str | None]) -> None:
    """With read-only site-packages everything works as ever: nothing is compiled at the start of a program."""
    site = tmp_path / "site"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(pytest_atexit.__file__).parent, site / "pytest_atexit", ignore=without)
    prefix = read_only(site)
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "pytest.ini").touch()
    (suite / "test_inner.py").write_text(f"FOLDER = {str(site)!r}\n{INNER}")
    variables = {
        **{name: value for name, value in os.environ.items() if name not in environment},
        "PYTHONPATH": os.pathsep.join([str(site), os.path.dirname(__file__)]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [
        *prefix,
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "pytest_atexit.plugin",
        "-p",
        "no:cacheprovider",
        "-q",
        "-rs",
    ]
    done = subprocess.run(command, cwd=suite, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout


# ---- forms of a program that test_fidelity doesn't have

SMALL = "import atexit, sys; atexit.register(print, 'handler', sys.argv, __name__, __spec__ and __spec__.name)\n"


def test_standard_input_without_a_dash_is_a_program(same: Same) -> None:
    """`python < file`, read from a pipe."""
    assert same([sys.executable], stdin=SMALL).ran == ["print"]


def test_standard_input_from_a_file_is_a_program(recorded: Recorded, plainly: Plainly, script: Script) -> None:
    """`python < file`, read from the file itself."""
    program = script(SMALL)
    plain = plainly([sys.executable, "-"], stdin=SMALL)
    with program.open() as file:
        result = recorded([sys.executable, "-"], stdin=file)
    assert (result.ran, result.stdout) == (["print"], plain.stdout)


def test_interactive_input_is_a_program(same: Same) -> None:
    """`python -i` that is told to read from a pipe: what is typed runs, then its handlers."""
    result = same([sys.executable, "-i", "-q"], stdin=f"{SMALL}1 / 0\nprint('typed')\n")
    assert (result.ran, result.status.code) == (["print"], 0)


def test_zipapps_run_by_themselves(same: Same, script: Script, tmp_path: Path) -> None:
    """An archive with a shebang line is a command, and with modules of its own a program."""
    script("import inside", "application/__main__.py")
    script(SMALL, "application/inside.py")
    archive = tmp_path / "application.pyz"
    zipapp.create_archive(tmp_path / "application", archive, interpreter=sys.executable)
    assert same([archive, "x"]).ran == ["print"]
    assert same(archive, "x").ran == ["print"]


@pytest.mark.parametrize("command", [["-m", "package.module"], ["-m", "package"], ["-P", "-m", "package"]])
def test_modules_of_an_archive_run(command: Sequence[str], same: Same, tmp_path: Path) -> None:
    """`python -m` finds what is in an archive on PYTHONPATH."""
    if "-P" in command and sys.version_info < (3, 11):
        pytest.skip("this interpreter has no -P")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for name in ("__init__", "__main__", "module"):
            archive.writestr(f"package/{name}.py", SMALL if name != "__init__" else "")
    result = same([sys.executable, *command, "x"], env={"PYTHONPATH": str(tmp_path / "archive.zip")})
    assert result.ran == ["print"]


def test_program_that_is_a_link(same: Same, script: Script, tmp_path: Path) -> None:
    """Its folder is that of the file, and its name that of the link."""
    program = script(f"import beside\n{SMALL}", "folder/program.py")
    script("", "folder/beside.py")
    (tmp_path / "link").symlink_to(program)
    assert same(tmp_path / "link").ran == ["print"]
