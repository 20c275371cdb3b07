"""The stacks of a hung program: the agent has told faulthandler to write them to stderr on a signal.

That signal is only sent where the kernel shows that it is caught and that descriptor 2 is still the pipe that we read:
what arrives there is taken out of stderr again. It also ends the process, which is to be killed anyway: its main thread
may wait in a call that a signal interrupts, such as `signal.pause`, and would go on.
"""

from __future__ import annotations

import linecache
import os
import re
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_atexit._launch._process import Process, SignalMasks
from pytest_atexit._launch._waits import StackFrame

if TYPE_CHECKING:
    from pytest_atexit._launch._output import Output

STACKS_SIGNAL = 58  # as in the agent
PATIENCE = 2.0  # seconds for a process to write its stacks
QUIET = 0.1  # seconds without a further line, after which they are complete
APPROXIMATE = ", approximate line numbers"  # PyPy tells where functions begin
TITLE = rf"(Current thread|Thread) (0x[0-9a-fA-F]+)(.*) \(most recent call first({APPROXIMATE})?\):"
THREAD = re.compile(rf"^{TITLE}$")
FRAME = re.compile(r"^  File \"(.*)\", line (\d+) in (.*)$")
OWN = '"<pytest-atexit '  # PyPy shows the agent's frames, which handlers don't see
DEPTH = 100  # frames of a stack that faulthandler shows at most; not every version says that there are more
LINE = re.compile(
    rf"^(?:{TITLE}|  File \".*\", line \d+ in .*|  \.\.\.|  Garbage-collecting|  <no Python frame>|"
    r"  <freed thread state>|Stack \(most recent call first\):|)\n?$".encode()
)


@dataclass(frozen=True)
class Thread:
    """A thread's stack.

    Attributes:
        title: what it is called, such as "thread 0x00007f3ce1d83b80"; Python 3.14 and later tell its name.
        frames: the innermost first.
        is_main: it is the main thread.
        is_whole: the outermost frames are among them.
        is_exact: their lines are those that run; else those where their functions begin.
    """

    title: str
    frames: tuple[StackFrame, ...]
    is_main: bool
    is_whole: bool = True
    is_exact: bool = True

    def lines(self) -> list[str]:
        """Returns the stack as text, each frame with its source line, the innermost last as in a traceback."""
        text = [f"{self.title}:"]
        for file, line, name in reversed(self.frames):
            text.append(f'  File "{file}", line {line}, in {name}')
            if source := self.source(file, line):
                text.append(f"    {source}")
        return text

    def source(self, file: str, line: int) -> str:
        """Returns the source line of one of its frames, or nothing where that isn't known."""
        return linecache.getline(file, line).strip() if self.is_exact else ""


def stacks_of(processes: Iterable[Process], output: Output) -> dict[int, list[Thread]]:
    """Returns the threads of each process that can be asked, by pid, and ends these.

    Args:
        processes: recorded Python processes; they may be stopped.
        output: where their stderr goes.
    """
    pipe = output.stderr_pipe
    asked = (process for process in processes if _can_be_asked(process, pipe))
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
    process.signal(signal.SIGCONT)  # the other signal comes first
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
    threads: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        if match := THREAD.match(line):
            threads.append((match, []))
        elif threads and OWN not in line:
            threads[-1][1].append(line)
    # faulthandler goes from the youngest thread to the oldest, which is the main thread
    return [_thread(title, lines, is_main=title is threads[-1][0]) for title, lines in threads]


def _thread(title: re.Match[str], lines: list[str], *, is_main: bool) -> Thread:
    name = "" if is_main else title[3]  # the name of the main thread would be that of the executable
    frames = tuple((match[1], int(match[2]), match[3]) for line in lines if (match := FRAME.match(line)))
    return Thread(
        title=f"{'main ' if is_main else ''}thread {title[2]}{name}",
        frames=frames,
        is_main=is_main,
        is_whole=len(frames) < DEPTH,
        is_exact=title[4] is None,
    )
