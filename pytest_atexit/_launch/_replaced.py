"""A program that was replaced (exec) by a Python program of which nothing was recorded, and what kept the agent out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_atexit._ending import NOTHING
from pytest_atexit._launch._python import flags_of, python_line

if TYPE_CHECKING:
    from pytest_atexit._events import LastCall
    from pytest_atexit._replay import Life

BLINDING = {"-I", "-E", "-S"}  # Python doesn't look at PYTHONPATH, or doesn't load `sitecustomize`
INFORMING = {"-V", "-h", "-?", "--version", "--help", "--help-all", "--help-env", "--help-xoptions"}  # runs no program
MODULE_FILES = ("sitecustomize/__init__.py", "sitecustomize.*.so", "sitecustomize.so", "sitecustomize.py")  # in order


@dataclass(frozen=True)
class Replacement:
    """The program that was not recorded.

    Attributes:
        line: its command line, that of the interpreter.
        path: PYTHONPATH at that moment, None where it is not known.
        cwd: to which relative entries of that belong.
        agent: the folder of the agent.
    """

    line: Sequence[str]
    path: str | None
    cwd: str
    agent: str

    def lines(self) -> list[str]:
        """Returns what was run and, where that is known, what kept the agent out of it."""
        return [f"it was replaced (exec) by: {shlex.join(self.line)}", *self._obstacle()]

    def _obstacle(self) -> list[str]:
        """What kept the agent out of it."""
        if blinding := [flag for flag in flags_of(self.line) if flag in BLINDING]:
            return [f"The recorder is loaded through PYTHONPATH, and {' '.join(blinding)} keeps it out."]
        if self.path is None:
            return [
                "The recorder is loaded through PYTHONPATH: a cleaned environment keeps it out, and so does another",
                "sitecustomize in front of it, such as that of an auto-instrumentation.",
            ]
        entries = self.path.split(os.pathsep)
        if self.agent not in entries:
            return ["The recorder is loaded through PYTHONPATH, from which its folder had been removed."]
        for entry in entries[: entries.index(self.agent)]:
            folder = Path(self.cwd, entry)
            if file := next((file for pattern in MODULE_FILES for file in folder.glob(pattern)), None):
                return [
                    f"{file} is in front of the recorder on PYTHONPATH, and did not hand over to it.",
                    "The recorder itself does hand over: let the test run the program without what puts that file",
                    f"there, and with env={{'PYTHONPATH': '{folder}'}}.",
                ]
        return ["The recorder was on its PYTHONPATH, but did not come to be loaded."]


def replacement(lives: Iterable[Life], pid: int, cwd: str, agent: str) -> Replacement | None:
    """Returns the Python program that a process became last, if that was not recorded."""
    own = [life for life in lives if life.began.pid == pid and not life.began.interpreter]
    call = own[-1].left_by if own else None
    if call is None or call.function == "_exit":
        return None
    command = _command(call)
    try:
        line = python_line(os.path.join(cwd, command[0]), command[1:])
    except OSError:  # it is gone by now
        return None
    if line is None or tuple(command[1:]) == NOTHING or INFORMING & {*flags_of(line)}:
        return None
    return Replacement(line, call.path, cwd, agent)


def _command(call: LastCall) -> list[str]:
    """The executable of an exec and the arguments behind its name."""
    executable, arguments = (*call.args, "", ())[:2]
    texts = [executable, *arguments[1:]] if isinstance(arguments, (list, tuple)) else [executable]
    return [os.fsdecode(text) if isinstance(text, bytes) else str(text) for text in texts]
