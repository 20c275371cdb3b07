"""The private folder from which children load the agent, with bytecode ready for each interpreter.

Compiling at each start would cost a quarter of it. Where the bytecode lies beside the source with an unchecked hash,
no interpreter looks at times, and none needs to be allowed to write.
"""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from importlib.util import cache_from_source
from pathlib import Path

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._popen import Child

SOURCE = Path(__file__).parent.parent / "_child" / "sitecustomize.py"
STRIPPED = 2  # without docstrings, at any level of optimization: less to load
COMPILE = (
    "import sys; sys.dont_write_bytecode = True; import importlib.util, py_compile; "
    "py_compile.compile(sys.argv[1], importlib.util.cache_from_source(sys.argv[1]), optimize=2, doraise=True, "
    "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
)


class Agent:
    """The agent as children find it: a folder for PYTHONPATH. One for a session; `close` removes it."""

    def __init__(self) -> None:
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="pytest-atexit-"))  # mode 0700
        except OSError as error:
            msg = f"no folder for temporary files can be written to (see TMPDIR): {error}"
            raise LaunchError(msg) from error
        self._file = self.folder / SOURCE.name
        self._ready: set[tuple[str, int]] = set()
        # A link and no copy: tools that look at files, such as coverage in the child, find an installed module, which
        # they leave out and which is still there when they report.
        self._file.symlink_to(SOURCE)

    def prepare(self, python: str, optimize: int) -> None:
        """Have bytecode ready for an interpreter at its level of optimization (`-O`)."""
        if (python, optimize) in self._ready:
            return
        self._ready.add((python, optimize))
        if python == sys.executable:
            py_compile.compile(
                str(self._file),
                cfile=cache_from_source(str(self._file), optimization=optimize or ""),
                optimize=STRIPPED,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            return
        flags = ["-I", "-S", *["-O"] * optimize]
        env = {**os.environ, "PYTHONPYCACHEPREFIX": ""}
        command = [python, *flags, "-c", COMPILE, str(self._file)]
        nothing = subprocess.DEVNULL
        with Child(command, env=env, stdin=nothing, stdout=nothing, stderr=nothing):
            pass  # Leaving the block waits. Where it fails, the agent is compiled at each start instead.

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
