"""The stacks of a hung program: the agent has told faulthandler to write them to stderr on a signal.

That signal is only sent where the kernel shows that it is caught and that descriptor 2 is still the pipe that we read:
what arrives there is taken out of stderr again.
"""

from __future__ import annotations

import linecache
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_atexit._launch._process import Process, SignalMasks

if TYPE_CHECKING:
    from pytest_atexit._launch._output import Output

STACKS_SIGNAL = 58  # as in the agent
PATIENCE = 2.0  # seconds for a process to write its stacks
QUIET = 0.1  # seconds without a further line, after which they are complete
LINE = re.compile(
    rb"^(?:(?:Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):|  File \".*\", line \d+ in .*|  \.\.\.|"
    rb"  <no Python frame>|Stack \(most recent call first\):|)\n?$"
)
THREAD = re.compile(r"^(Current thread|Thread) (0x[0-9a-f]+)(.*) \(most recent call first\):$")
FRAME = re.compile(r"^  File \"(.*)\", line (\d+) in (.*)$")


@dataclass(frozen=True)
class Thread:
    """A thread's stack: frames as (file, line, function), the innermost first. `is_main` is the main thread."""

    title: str
    frames: tuple[tuple[str, int, str], ...]
    is_main: bool

    def lines(self) -> list[str]:
        """Returns the stack as text, each frame with its source line, the innermost last as in a traceback."""
        text = [f"{self.title}:"]
        for file, line, name in reversed(self.frames):
            text.append(f'  File "{file}", line {line}, in {name}')
            if source := linecache.getline(file, line).strip():
                text.append(f"    {source}")
        return text


def stacks_of(processes: Iterable[Process], output: Output) -> dict[int, list[Thread]]:
    """Returns the threads of each process that can be asked, by pid.

    Args:
        processes: recorded Python processes.
        output: where their stderr goes.
    """
    asked = (process for process in processes if _can_be_asked(process, output.stderr_pipe))
    return {process.pid: _parse(_ask(process, output)) for process in asked}


def _can_be_asked(process: Process, pipe: str) -> bool:
    try:
        target = os.readlink(f"/proc/{process.pid}/fd/2")
    except OSError:
        return False
    return target == pipe and SignalMasks.of(process.pid).catches(STACKS_SIGNAL)


def _ask(process: Process, output: Output) -> str:
    with output.changed:
        start = len(output.stderr)
    process.signal(STACKS_SIGNAL)
    deadline = time.monotonic() + PATIENCE
    size = start
    while time.monotonic() < deadline:
        with output.changed:
            grown = output.changed.wait_for(lambda: len(output.stderr) > size, QUIET)  # noqa: B023
            size = len(output.stderr)
        if not grown and size > start:
            break
    with output.changed:
        lines = bytes(output.stderr[start:]).splitlines(keepends=True)
        output.stderr[start:] = b"".join(line for line in lines if not LINE.match(line))
    return b"".join(line for line in lines if LINE.match(line)).decode("utf-8", "backslashreplace")


def _parse(text: str) -> list[Thread]:
    threads: list[tuple[str, list[tuple[str, int, str]]]] = []
    for line in text.splitlines():
        if match := THREAD.match(line):
            threads.append((f"thread {match[2]}{match[3]}", []))
        elif (match := FRAME.match(line)) and threads:
            threads[-1][1].append((match[1], int(match[2]), match[3]))
    # faulthandler goes from the youngest thread to the oldest, which is the main thread
    last = len(threads) - 1
    return [
        Thread(f"main {title}" if index == last else title, tuple(frames), index == last)
        for index, (title, frames) in enumerate(threads)
    ]
