"""A command that a process has asked for."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from pytest_atexit._commands._answer import Answer, Command


@dataclass(eq=False)
class Asked:
    """A command that a process asked for.

    Attributes:
        command: as it was called.
        pids: of who asked or, for what a shell called, of the processes above it, the nearest first.
        moment: of the monotonic clock, in nanoseconds.
        in_thread: it was no thread that runs handlers.
        answer: what was answered; None if the real command runs, or nothing.
        returncode: of the real command, if that is known.
        is_refused: it was not registered, so nothing runs.
    """

    command: Command
    pids: tuple[int, ...]
    moment: int
    in_thread: bool = False
    answer: Answer | None = None
    returncode: int | None = None
    is_refused: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The command line."""
        return _words_of(self.command)

    @property
    def code(self) -> int | None:
        """How it ended; None if it hadn't, or that isn't known."""
        return self.answer.returncode if self.answer else self.returncode


def _words_of(command: Command) -> tuple[str, ...]:
    """Returns a command line as text."""
    if isinstance(command, (str, bytes)):
        text = os.fsdecode(command)
        try:
            return tuple(shlex.split(text))
        except ValueError:
            return (text,)
    return tuple(os.fsdecode(word) if isinstance(word, (bytes, os.PathLike)) else str(word) for word in command)
