"""Executables that stand for commands, first on the PATH of a program: called, they ask the test.

All are links to one script. The names that are on PATH share a folder; what a test registers, and what a program calls
by a path, has links in a folder of the run.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_atexit._commands._interpreters import is_interpreter
from pytest_atexit._errors import LaunchError

PROGRAM = Path(__file__).parent / "_stub.py"
BESIDE = "%"  # no encoded name is that

YOUNG = 2_000_000_000  # nanoseconds


class Stubs:
    """The folder of all of them, for a session.

    Args:
        folders: of the session's own, in one of which files can be executed (memory often forbids it).

    Raises:
        LaunchError: in none of them.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._shared: dict[tuple[_Folder, ...], Path] = {}
        self._making = threading.Lock()
        for parent in folders:
            if os.pathsep in str(parent):  # it will be on PATH
                continue
            # A program may have become another user, and must not find the real command behind ours for that.
            os.chmod(parent, 0o711)  # noqa: S103, for what is in it has random names, and modes of its own
            self.folder = Path(tempfile.mkdtemp(prefix="commands-", dir=parent))
            self.folder.chmod(0o755)
            self._make()
            if os.access(self._script, os.X_OK):
                return
            shutil.rmtree(self.folder, ignore_errors=True)
        msg = "commands can't be answered for (fp=): no folder for temporary files allows to execute what is in it"
        raise LaunchError(msg)

    @property
    def is_whole(self) -> bool:
        """Whether it is still there."""
        return self._script.exists()

    def _make(self) -> None:
        program = self.folder / "stub.pyc"
        code = compile(PROGRAM.read_text(encoding="utf-8"), PROGRAM.name, "exec", dont_inherit=True)
        program.write_bytes(_header() + marshal.dumps(code))
        self.command = [sys.executable, "-I", "-S", str(program)]
        self._script = self.folder / "stub"
        # A first line with the interpreter itself must be short and without spaces.
        self._script.write_text(f'#!/bin/sh\nexec {shlex.join(self.command)} "$0" "$@"\n', encoding="utf-8")
        self._script.chmod(0o755)
        program.chmod(0o644)

    def shared(self, path: str) -> Path:
        """Returns the folder with what is on a PATH, as far as that doesn't change."""
        folders = tuple(each for each in _folders(path) if not each.is_young)
        with self._making:
            if folders not in self._shared:
                made = self._new_folder("path-")
                for name in _names(folders):
                    os.symlink(self._script, made / name)
                self._shared[folders] = made
            return self._shared[folders]

    def own(self, path: str) -> Path:
        """Returns a new folder for a run, with what has come to that PATH just now."""
        made = self._new_folder("run-")
        for name in _names(each for each in _folders(path) if each.is_young):
            os.symlink(self._script, made / name)
        return made

    def _new_folder(self, prefix: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder))
        folder.chmod(0o755)
        return folder

    def beside(self, folder: Path) -> Path:
        """Returns the folder of a run with names that are called by path: on PATH they would be found too often."""
        made = folder / BESIDE
        with contextlib.suppress(FileExistsError):
            made.mkdir()
            made.chmod(0o755)
        return made

    def add(self, folder: Path, command: str) -> str:
        """Returns the path of a stub for a command, which is a name or a path."""
        path = folder / command.replace("%", "%25").replace("/", "%2F") if "/" in command else folder / command
        with contextlib.suppress(FileExistsError):
            os.symlink(self._script, path)
        return str(path)


def _header() -> bytes:
    import importlib.util  # noqa: PLC0415, only where a test uses `fp=`

    return importlib.util.MAGIC_NUMBER + bytes(12)


class _Folder(NamedTuple):
    """A folder on PATH, as it was when it was looked at.

    Attributes:
        changed: when something was put there or removed last, in nanoseconds.
        is_young: that was so lately that a further change may not show in it.
    """

    path: str
    changed: int
    is_young: bool


def _folders(path: str) -> Iterator[_Folder]:
    for folder in path.split(os.pathsep):
        with contextlib.suppress(OSError):
            changed = os.stat(folder or ".").st_mtime_ns
            yield _Folder(folder or ".", changed, time.time_ns() - changed < YOUNG)


def _names(folders: Iterable[_Folder]) -> set[str]:
    names = set()
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder.path) as entries:
            names |= {entry.name for entry in entries if not entry.is_dir()}  # it may become executable
    return {name for name in names if not is_interpreter(name)}
