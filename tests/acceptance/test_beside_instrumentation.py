"""Beside auto-instrumentation, which brings a `sitecustomize` of its own and becomes the program by an exec."""

import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import CapExit, NotRecorded

PROGRAM = """
import atexit, sys

def close(): print("closed")

atexit.register(close)
print(sys.modules["sitecustomize"].__file__)
print(*sys.argv[1:], flush=True)
"""
# A launcher as those tools have it: its own folder comes first, and it becomes the program.
LAUNCHER = f"""#!{sys.executable}
import os, sys
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instrumentation")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
os.execl(sys.executable, sys.executable, *sys.argv[1:])
"""
ALONE = "print('instrumented')"
HANDING_OVER = """
import atexit, os, sys
print('instrumented')
atexit.register(print, 'flushed')
folder = os.path.dirname(__file__)
place = sys.path.index(folder)
del sys.path[place]
own = sys.modules.pop("sitecustomize")
try:
    import sitecustomize
except ImportError:
    sys.modules["sitecustomize"] = own
sys.path.insert(place, folder)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A program."""
    path = tmp_path / "app.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def launcher(tmp_path: Path) -> Callable[[str], Path]:
    """A function that makes a launcher with this `sitecustomize`."""

    def make(text: str) -> Path:
        folder = tmp_path / "tool" / "instrumentation"
        folder.mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(text)
        tool = folder.parent / "instrument"
        tool.write_text(LAUNCHER)
        tool.chmod(0o755)
        return tool

    return make


def plain(command: list[str | Path]) -> tuple[str, int]:
    """Returns stdout and status of a run without us."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout, done.returncode


def test_a_sitecustomize_that_hands_over(capexit: CapExit, launcher: Callable[[str], Path], app: Path) -> None:
    """The program is recorded, behind the handlers that were registered before."""
    command: list[str | Path] = [launcher(HANDING_OVER), app, "argument"]
    result = capexit.run(command)
    assert (result.stdout, result.returncode) == plain(command)
    (child,) = result.children
    assert (child.role, child.pid, child.ran, child.unrecorded) == ("exec", result.pid, ["close"], 1)


def test_a_sitecustomize_that_does_not(capexit: CapExit, launcher: Callable[[str], Path], app: Path) -> None:
    """It is an error that says what the launcher became, and names the file in the way."""
    tool = launcher(ALONE)
    with pytest.raises(NotRecorded) as caught:
        capexit.run([tool, app, "argument"])
    folder = tool.parent / "instrumentation"
    assert str(caught.value).splitlines()[2:6] == [
        f"it was replaced (exec) by: {sys.executable} {app} argument",
        f"{folder}/sitecustomize.py is in front of the recorder on PYTHONPATH, and did not hand over to it.",
        "The recorder itself does hand over: let the test run the program without what puts that file",
        f"there, and with env={{'PYTHONPATH': '{folder}'}}.",
    ]


def test_it_is_recorded_without_the_launcher(capexit: CapExit, launcher: Callable[[str], Path], app: Path) -> None:
    """With the folder in `env=`, the recorder comes first and hands over to it."""
    tool = launcher(ALONE)
    result = capexit.run(app, "argument", env={"PYTHONPATH": str(tool.parent / "instrumentation")})
    assert (result.stdout, result.returncode) == plain([tool, app, "argument"])
    assert result.ran == ["close"]


@pytest.fixture(scope="module")
def environment_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that makes a virtual environment with these packages, and returns its folder of commands."""

    def make(*packages: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, symlinks=True, with_pip=True)
        command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return folder / "bin"

    return make


@pytest.mark.slow
@pytest.mark.timeout(300)  # Packages are installed.
def test_ddtrace_run(capexit: CapExit, environment_with: Callable[..., Path], app: Path) -> None:
    """The `sitecustomize` of ddtrace hands over to the next one: recorded."""
    folder = environment_with("ddtrace")
    command: list[str | Path] = [folder / "ddtrace-run", folder / "python", app, "argument"]
    expected = plain(command)
    result = capexit.run(command)
    assert (result.stdout, result.returncode) == expected
    assert "/ddtrace/bootstrap/sitecustomize.py" in result.stdout
    (child,) = result.children
    assert (child.role, child.pid, child.ran) == ("exec", result.pid, ["close"])
    assert child.unrecorded > 0  # ddtrace's own


@pytest.mark.slow
@pytest.mark.timeout(300)  # Packages are installed.
def test_opentelemetry_instrument(
    capexit: CapExit, environment_with: Callable[..., Path], app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of opentelemetry does not: an error with the launcher, and recorded with its folder in `env=`."""
    for kind in ("TRACES", "METRICS", "LOGS"):  # The default exporters are packages of their own.
        monkeypatch.setenv(f"OTEL_{kind}_EXPORTER", "none")
    folder = environment_with("opentelemetry-distro")
    command: list[str | Path] = [folder / "opentelemetry-instrument", folder / "python", app, "argument"]
    expected = plain(command)
    with pytest.raises(NotRecorded, match=rf"it was replaced \(exec\) by: {folder}/python {app} argument\n") as caught:
        capexit.run(command)
    assert caught.value.result is not None
    assert (caught.value.result.stdout, caught.value.result.returncode) == expected
    front = Path(expected[0].splitlines()[0]).parent
    assert front.name == "auto_instrumentation"
    assert f"{front}/sitecustomize.py is in front of the recorder" in str(caught.value)
    result = capexit.run(app, "argument", python=folder / "python", env={"PYTHONPATH": str(front)})
    assert (result.stdout, result.returncode) == expected
    assert "close" in result.ran
