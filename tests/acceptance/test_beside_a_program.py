"""`python -m pytest_atexit PROGRAM …`: the program runs as ever, and its exit timeline follows on stderr."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_atexit.__main__ import main

BESIDE = [sys.executable, "-m", "pytest_atexit"]
BEHIND = "; options of Python stand behind its name: python -m pytest_atexit python"
ROOT = str(Path(__file__).parents[2])
PROGRAM = """
import atexit, os, signal, sys

def close(): print("closed", flush=True)
atexit.register(close)
caught = []
awake, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)  # a signal just before the read ends it too
signal.signal(signal.SIGINT, lambda *_: caught.append("SIGINT"))
signal.signal(signal.SIGTERM, lambda *_: caught.append("SIGTERM"))
match sys.argv[1:]:
    case ["reads", *rest]:
        print(sys.argv[0], rest, sys.stdin.read(), os.isatty(0))
        print("to stderr", file=sys.stderr)
        sys.exit(7)
    case ["dies", number]:
        signal.signal(int(number), signal.SIG_DFL) if number != "9" else None
        os.kill(os.getpid(), int(number))
    case ["waits"]:
        print("ready", flush=True)
        os.read(awake, 1)
        print(caught, flush=True)
    case ["aborts"]:
        os.abort()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the program, which is the working folder. Signals act as in a shell's foreground."""
    (tmp_path / "app.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
    yield tmp_path
    signal.signal(signal.SIGINT, before)


def test_streams_arguments_and_exit_code_are_its_own(folder: Path) -> None:
    """What it reads, prints and exits with is that of a plain run; options behind its name are its own."""
    arguments = ["app.py", "reads", "--json", "x", "-h"]
    plain = subprocess.run([sys.executable, *arguments], input=b"text", capture_output=True, check=False)
    beside = subprocess.run([*BESIDE, *arguments], input=b"text", capture_output=True, check=False)
    assert (beside.returncode, beside.stdout) == (plain.returncode, plain.stdout)
    assert plain.returncode == 7
    told = beside.stderr.decode().removeprefix(plain.stderr.decode())
    assert told.startswith(f"\n$ {sys.executable} app.py reads")
    assert "status: exit code 7 (ended by sys.exit)" in told
    assert "ran  close()" in told
    assert os.listdir(folder / "t") == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT])
def test_it_ends_by_the_signal_that_ended_the_program(folder: Path, signum: signal.Signals) -> None:
    """Who waits for it sees what he would see of the program, a shell 128 and the number."""
    result = subprocess.run([*BESIDE, "app.py", "dies", str(signum.value)], capture_output=True, text=True, check=False)
    assert result.returncode == -signum
    assert f"status: killed by {signum.name}\n" in result.stderr
    assert "skipped  close()" in result.stderr


def test_what_only_stderr_could_tell_is_left_open(folder: Path) -> None:
    """An abort may have been a fatal error, and exit code 1 an exception: the program's stderr is not ours to read."""
    result = subprocess.run([*BESIDE, "app.py", "aborts"], capture_output=True, text=True, check=False)
    assert "os.abort(), a C library's abort or a fatal error of the interpreter" in result.stderr
    assert "ended by" not in result.stderr
    (folder / "raises.py").write_text("raise OSError", encoding="utf-8")
    result = subprocess.run([*BESIDE, "raises.py"], capture_output=True, text=True, check=False)
    assert "status: exit code 1\n" in result.stderr


def test_a_signal_sent_to_it_goes_to_the_program_once(folder: Path) -> None:
    """Be it sent to the one process, or to its group: the program gets what it would get alone."""
    for send in (os.kill, os.killpg):
        for name in ("SIGINT", "SIGTERM"):
            with subprocess.Popen(
                [*BESIDE, "app.py", "waits"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                send(process.pid, signal.Signals[name])
                assert process.stdout.read() == f"[{name!r}]\nclosed\n"
            assert process.returncode == 0


def test_ctrl_c_in_a_terminal_goes_to_the_program_once(folder: Path) -> None:
    """It shares the terminal's foreground group, so it may read there, and gets what the terminal sends."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*BESIDE, "app.py", "waits"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509, for nothing else runs here
    )
    os.close(theirs)
    text = b""
    while b"ready" not in text:
        text += os.read(ours, 1000)
    os.write(ours, b"\x03")
    while b"registered at app.py:5" not in text:
        text += os.read(ours, 1000)
    assert process.wait(30) == 0
    os.close(ours)
    assert b"['SIGINT']\r\nclosed" in text


def test_commands_and_folders_are_programs(folder: Path) -> None:
    """A command is looked for as in a shell, and each Python below it is recorded; what isn't there is code 127."""
    result = subprocess.run(
        [*BESIDE, "--json", "run.json", "sh", "-c", f"{sys.executable} app.py; exit 4"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (4, "closed\n")
    (run,) = json.loads((folder / "run.json").read_text(encoding="utf-8"))["runs"]
    assert [each["name"] for each in run["processes"][0]["timeline"]] == ["close"]
    (folder / "package").mkdir()
    (folder / "package" / "__main__.py").write_text("print('main', flush=True)", encoding="utf-8")
    assert subprocess.run([*BESIDE, "package"], capture_output=True, check=False).stdout == b"main\n"
    result = subprocess.run([*BESIDE, "nowhere"], capture_output=True, text=True, check=False)
    assert result.returncode == 127
    assert result.stderr == "python -m pytest_atexit: there is no command 'nowhere' that can be executed\n"


def test_a_file_that_cannot_be_written_is_told_before_the_start(folder: Path) -> None:
    """The program doesn't run in vain."""
    result = subprocess.run([*BESIDE, "--json", "app.py/x.json", "app.py"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "app.py/x.json can't be written" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "the following arguments are required: PROGRAM"),
        (["-m", "flask", "run"], 2, f"there is no option -m{BEHIND} -m flask run"),
        (["-u", "app.py"], 2, f"there is no option -u{BEHIND} -u app.py"),
        (["--jsn", "a.json", "app.py"], 2, "there is no option --jsn"),
        (["--json", "a.txt", "app.py"], 2, "--json: a path that ends in .json is needed, not 'a.txt'"),
        (["--html", "a.json", "app.py"], 2, "--html: a path that ends in .html is needed, not 'a.json'"),
        (["nosuch.py"], 127, "there is no file nosuch.py"),
        (["t"], 127, "the folder t has no __main__.py"),
    ],
)
def test_wrong_arguments_are_answered_in_words(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    """What is missing, what isn't there, and how it is meant."""
    try:
        returned: object = main(arguments)
    except SystemExit as error:
        returned = error.code
    assert returned == code
    *_, last = capsys.readouterr().err.splitlines()
    assert last == f"python -m pytest_atexit: {'error: ' if code == 2 else ''}{told}"
    assert os.listdir(folder / "t") == []
