"""The launcher `spawn`: a fresh interpreter, started as from a shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._namespace import start_as_pid1
from pytest_atexit._launch._popen import Child
from pytest_atexit._launch._process import SignalMasks

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_atexit._launch._invocation import Invocation, Stdin

CORE_LIMIT = threading.Lock()  # held while our own limit is lowered for a child
PIPE_SIZE = 1 << 16  # of Linux; so much can be written before anybody reads


def spawn(invocation: Invocation, journal: str, entry: Path, stdin: Stdin) -> Child:
    """Start a program in a session of its own, with that entry on PYTHONPATH and that value for the agent.

    Raises:
        LaunchError: the system refused to start it, or allows no PID namespace (`NamespaceRefused`).
    """
    with source_of_input(stdin) as source, as_from_a_shell() as reset:
        try:
            start = start_as_pid1 if invocation.as_pid1 else Child
            return start(
                invocation.executed or invocation.argv,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment(invocation, journal, entry),
                cwd=invocation.cwd,
                start_new_session=True,
                preexec_fn=reset,
            )
        except (OSError, ValueError) as error:
            msg = f"{invocation.argv[0]} could not be started: {error}"
            raise LaunchError(msg) from error


def environment(invocation: Invocation, journal: str, entry: Path) -> dict[str, str]:
    """Returns the whole environment of a program, with our own variables."""
    env = dict(invocation.env)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(entry), env.get("PYTHONPATH")]))
    env["PYTEST_ATEXIT_JOURNAL"] = journal
    if invocation.import_paths:
        env["PYTEST_ATEXIT_PATH"] = "\x1f".join(invocation.import_paths)
    if invocation.ending:
        env["PYTEST_ATEXIT_ENDING"] = invocation.ending
    env.update(invocation.answered)
    return env


def _to_reset() -> tuple[signal.Signals, ...]:
    return signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP


def _reset() -> None:
    """In the child: an ignored signal would stay ignored, as in the background of a shell script."""
    for signum in _to_reset():
        signal.signal(signum, signal.SIG_DFL)


@contextlib.contextmanager
def as_from_a_shell() -> Iterator[Callable[[], None] | None]:
    """What is started now has the signal mask, dispositions and limits of a shell's child; yields its `preexec_fn`.

    It inherits this thread's signal mask, which is empty meanwhile, and this process' limits, of which the soft one of
    core files is 0 before its first instruction.
    """
    import resource  # noqa: PLC0415, for not every system has it

    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        with CORE_LIMIT:
            soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
            if soft:
                resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
            try:
                yield _reset if any(map(SignalMasks.of(os.getpid()).ignores, _to_reset())) else None
            finally:
                if soft:
                    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def source_of_input(stdin: Stdin) -> Iterator[int | IO[Any]]:
    """What the child reads: nothing, an open file, or data, in a pipe where it fits in and else in a file."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    if data is None:
        yield subprocess.DEVNULL
    elif not isinstance(data, (bytes, bytearray)):
        yield data
    elif len(data) > PIPE_SIZE:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            yield file
    else:
        reader, writer = os.pipe()
        try:
            os.write(writer, data)
            os.close(writer)
            yield reader
        finally:
            os.close(reader)
