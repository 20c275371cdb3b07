"""What all fixtures of a session share."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_atexit import _system
from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._agent import Agent
from pytest_atexit._launch._fork import ForkServers
from pytest_atexit._launch._guardian import Guardian

if TYPE_CHECKING:
    from pytest_atexit._commands import Stubs
    from pytest_atexit._launch._running import RunningProgram


class Session:
    """What all fixtures of a session share, made when the first program is run.

    Args:
        on_start: is told of each program that was started.
    """

    _spare: Path | None = None
    _stubs: Stubs | None = None

    def __init__(self, on_start: Callable[[RunningProgram], None] = lambda _: None) -> None:
        self.on_start = on_start
        self._making = threading.Lock()

    @cached_property
    def folder(self) -> Path:
        """A folder for all temporary files."""
        return new_folder("pytest-atexit-")

    def run_folder(self) -> Path:
        """Returns a new folder for a run."""
        spare, self._spare = self._spare, None
        return spare if spare is not None and os.path.isdir(spare) else new_folder("run-", self.folder)

    def prepare(self) -> None:
        """Make a folder for the next run, while a program starts: so that one needn't wait for it."""
        if self._spare is None:
            with contextlib.suppress(LaunchError):
                self._spare = new_folder("run-", self.folder)

    @cached_property
    def agent(self) -> Agent:
        """What children load; a LaunchError where programs can't be recorded."""
        _system.require()
        return Agent()

    @cached_property
    def guardian(self) -> Guardian:
        """Ends the programs if this process is killed."""
        return Guardian(self.folder, self.agent.folder)

    def stubs(self) -> Stubs:
        """Returns what stands for commands where `fp=` answers: made anew where somebody has removed it."""
        from pytest_atexit._commands import Stubs  # noqa: PLC0415, few tests need it

        with self._making:
            if self._stubs is None or not self._stubs.is_whole:
                self._stubs = Stubs([self.agent.folder, self.folder])
            return self._stubs

    @cached_property
    def servers(self) -> ForkServers:
        """The fork servers."""
        return ForkServers(self.guardian)

    def close(self) -> None:
        """Leave nothing behind."""
        if "servers" in vars(self):
            self.servers.close()
        if "folder" in vars(self):
            shutil.rmtree(self.folder, ignore_errors=True)
        if "agent" in vars(self):
            self.agent.close()
        if "guardian" in vars(self):
            self.guardian.close()


def new_folder(prefix: str, parent: Path | None = None) -> Path:
    """Returns a new folder for temporary files, with mode 0700.

    Raises:
        LaunchError: there is no place for one.
    """
    try:
        if parent is not None and not os.path.isdir(parent):  # a test or a program may have emptied TMPDIR
            parent.mkdir(mode=0o700)
        return Path(os.path.abspath(tempfile.mkdtemp(prefix=prefix, dir=parent)))
    except OSError as error:
        msg = f"no folder for temporary files can be written to (see TMPDIR): {error}"
        raise LaunchError(msg) from error
