"""Says what a program that outlived its timeout was waiting for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_atexit._launch._stacks import Thread
    from pytest_atexit._result import ProcessRecord


def explain_hang(records: list[ProcessRecord], stacks: dict[int, list[Thread]], alive: set[int]) -> list[str]:
    """Returns lines that name what hangs in each living process, then the stacks of all its threads.

    Args:
        records: of all processes.
        stacks: by pid, of those that could be asked.
        alive: pids of the processes that had not ended.
    """
    lines: list[str] = []
    for record in records:
        if record.pid not in alive:
            continue
        threads = stacks.get(record.pid)
        lines += [f"process {record.pid} ({record.role}): {_culprit(record, threads or [])}"]
        if threads is None:
            lines.append("  no stacks: its stderr is not the pipe that pytest-atexit reads")
        for thread in threads or []:
            lines += [f"  {line}" for line in thread.lines()]
    return lines


def _culprit(record: ProcessRecord, threads: list[Thread]) -> str:
    running = [handler for handler in record.timeline if handler.state == "unfinished"]
    if running:
        handler = running[-1]
        return f"the handler {handler} did not return; it was registered at {handler.where}"
    main = next((thread for thread in threads if thread.is_main), None)
    if main is None or not main.frames:
        return "it did not end"
    if any(file.endswith("threading.py") and name == "_shutdown" for file, _, name in main.frames):
        waiting = [_place(thread) for thread in threads if not thread.is_main and thread.frames]
        return f"the program is over, but the interpreter waits for {' and '.join(waiting) or 'a thread'}"
    file, line, name = main.frames[0]
    return f"the program was still running: its main thread was in {name} ({file}:{line})"


def _place(thread: Thread) -> str:
    """A thread by the function that it was started with, and where it is now."""
    own = [frame for frame in thread.frames if not frame[0].endswith("threading.py")] or list(thread.frames)
    file, line, name = own[-1]
    return f"{thread.title} in {name} ({file}:{line})"
