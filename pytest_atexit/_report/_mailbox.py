"""How the controller of xdist learns what its workers' programs did, also from a worker that crashed.

The controller holds memory for each worker, who writes a run into it, as a line of JSON, when it begins and when its
result can be had. So nothing is lost with the worker, and nothing is left if the controller is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from pytest_atexit import _system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_atexit._report._facts import RunFacts

INPUT = "atexit_mailbox"  # in what xdist tells a worker: the address
OUTPUT = "atexit_runs"  # in what a worker says at its end, if it couldn't write all of it: the runs, in JSON


class Mailbox:
    """The controller's side, one for each worker.

    Raises:
        OSError, AttributeError: the system has no such memory.
    """

    def __init__(self) -> None:
        self._name = f"pytest-atexit-{os.urandom(8).hex()}"
        self._descriptor = _system.memfd_create(self._name)

    @property
    def address(self) -> list[str]:
        """Where a worker finds it, and what tells it from another host's file of that path."""
        return [f"/proc/{os.getpid()}/fd/{self._descriptor}", f"/memfd:{self._name} (deleted)"]

    def empty(self) -> Iterator[RunFacts]:
        """Yields what was written, in that order, once. Of a run the last one counts."""
        with open(self._descriptor, "rb") as stream:
            for line in stream:
                with contextlib.suppress(ValueError):  # one that its writer was killed in
                    yield json.loads(line)


def equip(workerinput: dict[str, Any]) -> Mailbox | None:
    """Returns a mailbox for a worker, who is told of it; none where there can't be one."""
    with contextlib.suppress(OSError, AttributeError):
        box = Mailbox()
        workerinput[INPUT] = box.address
        return box
    return None


def last_words(workeroutput: dict[str, Any]) -> list[RunFacts]:
    """Returns what a worker has said at its end."""
    runs: list[RunFacts] = json.loads(workeroutput.pop(OUTPUT, "[]"))
    return runs


def post(address: list[str], run: RunFacts) -> bool:
    """Write a run into a mailbox, from a worker; returns whether it is there.

    The descriptor isn't kept: a test may close it, and what is then opened in its place is somebody else's.
    """
    path, memory = address
    data = b"\n%b\n" % json.dumps(run).encode()  # ASCII. What comes behind a torn line has one of its own
    try:
        if os.readlink(path) != memory:
            return False
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            return os.write(descriptor, data) == len(data)  # at once, for threads of a test may have programs each
        finally:
            os.close(descriptor)
    except OSError:
        return False
