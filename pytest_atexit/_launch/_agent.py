"""The private folder from which children load the agent, with bytecode ready for each interpreter.

Compiling at each start would cost a quarter of it. Where the bytecode lies beside the source with an unchecked hash,
no interpreter looks at times, and none needs to be allowed to write.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_atexit._launch import _bytecode
from pytest_atexit._launch._build import CORE, agent_source
from pytest_atexit._launch._popen import Child


class Agent:
    """The agent as children find it: a folder for PYTHONPATH. One for a session, in whose folder it is made."""

    def __init__(self, session_folder: Path) -> None:
        self.folder = session_folder / "agent"
        self.folder.mkdir(mode=0o700)
        self._file = self.folder / CORE.name
        self._ready: set[tuple[str, int]] = set()
        self._file.write_text(agent_source(), encoding="utf-8")

    def prepare(self, python: str, optimize: int) -> None:
        """Have bytecode ready for an interpreter at its level of optimization (`-O`)."""
        if (python, optimize) in self._ready:
            return
        self._ready.add((python, optimize))
        if python == sys.executable:
            _bytecode.write_bytecode(str(self._file), str(optimize or ""))
            return
        command = [python, "-I", "-S", *["-O"] * optimize, _bytecode.__file__, str(self._file)]
        nothing = subprocess.DEVNULL
        with Child(command, stdin=nothing, stdout=nothing, stderr=nothing):
            pass  # Leaving the block waits. Where it fails, the agent is compiled at each start instead.
