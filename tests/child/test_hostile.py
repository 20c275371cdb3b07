"""What a program does to itself reaches neither the record nor, through us, the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deeds import AFTER_DEED, DEEDS, ENTANGLED, HANDLER_DEEDS, IN_HANDLER, ROOT_DEEDS, TELLING
from outcomes import ADDRESS, Outcome, outcome_of

from pytest_atexit import CapExit, ExitResult, NotRecorded, ProcessRecord
from pytest_atexit._session import Session

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]

pytestmark = pytest.mark.atexit(linger=20)  # On a busy machine what a program leaves behind takes its time, too.

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
TOLD = re.compile(r"^@(\d+) (\w+) (.+)$", re.MULTILINE)

ALL_DEEDS = [
    *(pytest.param(deed, id=name) for name, deed in DEEDS.items()),
    *(pytest.param(deed, id=name, marks=needs_root) for name, deed in ROOT_DEEDS.items()),
]


@pytest.fixture
def lived_through(
    recorded: Recorded, plainly: Callable[..., Outcome], script: Script, tmp_path: Path
) -> Callable[..., ExitResult]:
    """Runs a program plainly and recorded, each in a folder of its own, compares all, and returns the result."""

    def run(text: str) -> ExitResult:
        path = script(TELLING + text)
        folders = [tmp_path / name for name in ("plain", "recorded")]
        for folder in folders:
            folder.mkdir()
        plain = plainly(path, cwd=folders[0])
        result = recorded(path, cwd=folders[1])
        assert without_pids(outcome_of(result)) == without_pids(plain)
        assert content(folders[1]) == content(folders[0])
        check_record(result)
        return result

    return run


def without_pids(outcome: Outcome) -> Outcome:
    return Outcome(TOLD.sub(r"@ \2 \3", outcome.stdout), outcome.stderr, outcome.status)


def content(folder: Path) -> dict[str, str]:
    """Returns the files that a program has made, with what is in them; addresses differ from run to run."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): ADDRESS.sub("…", path.read_text("latin-1")) for path in files}


def check_record(result: ExitResult) -> None:
    """Hold the record of each process against what that process told."""
    told: dict[int, dict[str, list[str]]] = {}
    for pid, what, name in TOLD.findall(result.stdout):
        told.setdefault(int(pid), {}).setdefault(what, []).append(name)
    records: dict[int, ProcessRecord] = {record.pid: record for record in reversed((result, *result.children))}
    assert told
    assert {*told} <= {*records}
    for pid, record in records.items():
        said = told.get(pid, {})
        own = [handler.name for handler in record.handlers if not handler.inherited and handler.origin == "program"]
        ran = [handler for handler in record.timeline if handler.origin == "program"]
        assert not record.lost
        assert own == said.get("registered", [])
        assert record.unregistered == said.get("unregistered", [])
        assert [handler.name for handler in ran] == said.get("ran", [])
        assert [handler.name for handler in ran if handler.state == "ran"] == returned(said)
        assert all((handler.args, handler.kwargs) == ((1,), {"key": [2]}) for handler in record.handlers)


def returned(said: dict[str, list[str]]) -> list[str]:
    """Returns the names of what ran and returned in one process; its parent may have begun what else returned in it."""
    names = [*said.get("returned", [])]
    return [name for name in said.get("ran", []) if name in names and not names.remove(name)]


@pytest.mark.parametrize("deed", ALL_DEEDS)
def test_nothing_that_a_program_does_to_itself_reaches_the_record(
    deed: str, lived_through: Callable[..., ExitResult]
) -> None:
    """After such a deed the program prints, ends and writes what it does plainly, and all it tells of is recorded."""
    result = lived_through(AFTER_DEED.format(deed=deed))
    assert any("after" in record.ran for record in (result, *result.children))


@pytest.mark.parametrize("deed", HANDLER_DEEDS.values(), ids=HANDLER_DEEDS)
def test_nothing_that_a_handler_does_reaches_the_record(deed: str, lived_through: Callable[..., ExitResult]) -> None:
    """Whatever a handler does, and however it ends the program: that is recorded, and no more."""
    if "os.fork" in deed and sys.version_info[:3] == (3, 12, 1):
        pytest.skip("this version can't fork in a handler")
    result = lived_through(IN_HANDLER.format(deed=deed))
    assert result.ran[:3] == ["first", "fails", "does"]


@pytest.mark.slow  # No limit on the time of the processor is below a second.
def test_handler_that_uses_up_its_time_is_unfinished(lived_through: Callable[..., ExitResult]) -> None:
    """A limit on the processor's time ends the program in the handler, and the record says in which."""
    deed = "resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\n    while True: pass"
    result = lived_through(IN_HANDLER.format(deed=deed))
    assert (result.unfinished, result.skipped) == (["does"], ["last", "remaining"])


@pytest.mark.parametrize("text", ENTANGLED.values(), ids=ENTANGLED)
def test_whoever_registers_in_between_is_recorded(text: str, recorded: Recorded, script: Script) -> None:
    """What comes in between, while something else is registered or run, is recorded as well, and loses nothing."""
    result = recorded(script(TELLING + text))
    assert (result.returncode, result.stderr) == (0, "")
    check_record(result)
    assert len(result.registered) >= 200


# ---- what can't be written down

FULL = """
def handler(*args): pass
text = ["x" * 990, "y" * 990]
for number in range(5_000):
    atexit.register(handler, number, text, text)
atexit.register(print, "still runs")
"""
IN_THE_WAY = [
    "may open none",
    "has used up its descriptors",
    "may have no more memory mapped",
    "forbids open",
    "forbids everything",
]
ROOT_IN_THE_WAY = ["changes the root", "changes its user"]


@pytest.mark.parametrize("name", [*IN_THE_WAY, *(pytest.param(name, marks=needs_root) for name in ROOT_IN_THE_WAY)])
def test_full_window_that_no_other_can_follow_is_an_error(
    name: str, recorded: Recorded, plainly: Callable[..., Outcome], script: Script, tmp_path: Path
) -> None:
    """Where no more of the journal can be mapped, the result says so, and the program isn't disturbed."""
    deed = {**DEEDS, **ROOT_DEEDS}[name]
    if name == "may have no more memory mapped":  # a window is 16 MiB
        deed = "resource.setrlimit(resource.RLIMIT_AS, [(int(open('/proc/self/statm').read().split()[0]) << 12) + (1 << 23)] * 2)"
    path = script(TELLING + deed + FULL)
    with pytest.raises(NotRecorded) as error:
        recorded(path)
    shutil.rmtree(tmp_path / "root", ignore_errors=True)
    result = error.value.result
    assert outcome_of(result) == plainly(path)
    assert result.stdout == "still runs\n"
    numbers = [handler.args[0] for handler in result.handlers if handler.name == "handler"]
    assert 3000 < len(numbers) < 5000
    assert numbers == list(range(len(numbers)))


# ---- what is around a program


@pytest.fixture
def recorded_apart(
    environment: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recorded]:
    """Runs a program with a folder for temporary files in which there is nothing but what is ours."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    session = Session()
    own = CapExit(session, 30, 2)
    yield lambda program: own.run(program, env=environment, cwd=tmp_path, allow_failures=True)
    own.close()
    session.close()


EMPTIED = """
def empties():
    for entry in os.listdir(tempfile.gettempdir()):
        shutil.rmtree(os.path.join(tempfile.gettempdir(), entry))
"""


@pytest.mark.parametrize("text", ["empties()\n" + AFTER_DEED.format(deed=""), IN_HANDLER.format(deed="empties()")])
def test_emptied_temporary_folder_takes_nothing_away(
    text: str, recorded_apart: Recorded, plainly: Callable[..., Outcome], script: Script
) -> None:
    """A program that removes all temporary files, the agent's too, goes on and is recorded to its end."""
    path = script(TELLING + EMPTIED + text)
    result = recorded_apart(path)
    assert os.listdir(tempfile.gettempdir()) == []
    assert without_pids(outcome_of(result)) == without_pids(plainly(path))
    check_record(result)


@needs_root
def test_full_disk_takes_nothing_away(
    recorded: Recorded, plainly: Callable[..., Outcome], script: Script, tmp_path: Path
) -> None:
    """On a disk that is full, where the program's folders are too, everything is recorded."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("needs unshare, and a root folder that is a mount point")
    disk = tmp_path / "disk"
    disk.mkdir()
    deed = (
        "\ntry: pathlib.Path('one more').write_bytes(b'x' * 9999)\nexcept OSError as error: print(error, flush=True)\n"
    )
    path = script(TELLING + AFTER_DEED.format(deed=deed))
    mount = 'mount -t tmpfs -o size=8k none "$1" && cd "$1" && { cat /dev/zero >full 2>/dev/null; exec "$2" "$3"; }'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", disk, sys.executable, path]
    env = {"TMPDIR": str(disk)}
    result = recorded(list(map(str, command)), env=env)
    assert without_pids(outcome_of(result)) == without_pids(plainly(command, env=env))
    assert "No space left" in result.stdout
    check_record(result)
