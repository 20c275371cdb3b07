"""The private folder from which children load the agent, with bytecode ready for each interpreter.

Compiling at each start would cost a quarter of it. Where the bytecode lies beside the source with an unchecked hash,
no interpreter looks at times, and none needs to be allowed to write. PYTHONPYCACHEPREFIX makes an interpreter look
elsewhere: then it finds the bytecode in an archive, which that variable doesn't concern.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch import _bytecode
from pytest_atexit._launch._popen import Child

if TYPE_CHECKING:
    from pytest_atexit._launch._invocation import Invocation

SOURCES = Path(__file__).parent.parent / "_child"
CORE = "sitecustomize.py"
MEMORY = "/dev/shm"  # noqa: S108, for the folder in it is private
PATIENCE = 30.0  # seconds for an interpreter to compile the agent


class Agent:
    """The agent as children find it: an entry for PYTHONPATH. One for a session; `close` removes it.

    Attributes:
        folder: where it is, in memory if possible: a program may empty the folder for temporary files, and TMPDIR may
            be full, or have a colon in its path. It is made anew where somebody has removed it.
    """

    def __init__(self) -> None:
        self.folder = _private_folder()  # mode 0700
        self._lock = threading.Lock()
        self._make()

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.joinpath(_bytecode.FOLDER).mkdir()
        self._source = self.folder / CORE
        self._compiled: set[str] = set()
        self._archives: dict[str, Path] = {}
        # Links and no copies: tools that look at files, such as coverage in the child, find an installed module, which
        # they leave out and which is still there when they report.
        for name, file in _layout().items():
            (self.folder / name).symlink_to(file)
        self._prepare(sys.executable)  # also for descendants, and for commands that are scripts

    def entry(self, invocation: Invocation) -> Path:
        """Returns what is to be on PYTHONPATH, with bytecode ready for the interpreter if it is known."""
        with self._lock:  # what is half written must not be loaded
            if not self._source.exists():
                self.close()
                self._make()
            python = invocation.python or sys.executable
            if invocation.hides_bytecode:
                return self._archive(python)
            self._prepare(python)
            return self.folder

    def _prepare(self, python: str) -> None:
        if python not in self._compiled:
            self._compiled.add(python)
            self._compile(python)

    def _archive(self, python: str) -> Path:
        """Returns an archive with bytecode for one interpreter, and with the sources for others that it starts."""
        archive = self._archives.setdefault(python, self.folder / f"{len(self._archives)}.zip")
        if not archive.exists():
            bytecode = archive.with_suffix(".pyc")
            self._compile(python, str(bytecode))
            with zipfile.ZipFile(archive, "w") as file:
                for name, source in _layout().items():
                    file.write(source, name)
                if bytecode.exists():
                    file.write(bytecode, f"{self._source.stem}.pyc")
        return archive

    def _compile(self, python: str, *target: str) -> None:
        """Have an interpreter compile; where it fails, it will compile at each start, or is no Python."""
        if python == sys.executable:
            _bytecode.compile_agent(str(self._source), *target)
            return
        command = [python, "-I", "-S", _bytecode.__file__, str(self._source), *target]
        nothing = subprocess.DEVNULL
        with (
            contextlib.suppress(OSError, subprocess.TimeoutExpired),
            Child(command, stdin=nothing, stdout=nothing, stderr=nothing) as process,
        ):
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _layout() -> dict[str, Path]:
    """Returns the sources by where they are in a folder or an archive."""
    files = {file.name: file for file in SOURCES.glob("*.py")}
    return {name if name == CORE else f"{_bytecode.FOLDER}/{name}": file for name, file in files.items()}


def is_whole(entry: Path) -> bool:
    """Whether children can load the agent from that entry on PYTHONPATH."""
    return os.path.isfile(os.path.join(entry, CORE)) or entry.is_file()


def _private_folder() -> Path:
    """Makes a folder that can be on PYTHONPATH."""
    for make in (_in_memory, lambda: os.path.abspath(tempfile.mkdtemp(prefix="pytest-atexit-"))):
        try:
            folder = make()
        except OSError as error:
            problem = str(error)
            continue
        if os.pathsep not in folder:
            return Path(folder)
        os.rmdir(folder)
        problem = f"{folder} has {os.pathsep!r} in its path, where PYTHONPATH is split"
    msg = f"no folder for temporary files can be used (see TMPDIR): {problem}"
    raise LaunchError(msg)


def _in_memory() -> str:
    """Makes one with a short name: the longer it is, the more each start of an interpreter costs."""
    while True:
        folder = os.path.join(MEMORY, f"atexit-{secrets.token_hex(2)}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
            return folder
