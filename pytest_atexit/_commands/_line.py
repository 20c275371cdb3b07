"""What the processes of a run and the test say to each other: see docs/commands.md.

A child's words are a line of Python literals, which are parsed and never evaluated; what it is told is marshalled.
"""

from __future__ import annotations

import ast
import marshal
import math
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Any, cast

PORTABLE = 2  # of marshal's versions: what all interpreters read


class Line:
    """A connection on which both sides speak."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._rest = b""
        self._saying = threading.Lock()

    def hear(self) -> tuple[Any, ...]:
        """Returns what is said next.

        Raises:
            EOFError: the other side is gone.
        """
        while b"\n" not in self._rest:
            part = self.connection.recv(1 << 16)
            if not part:
                raise EOFError
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\n")
        said = ast.literal_eval(text.decode("ascii"))
        if not isinstance(said, tuple):
            raise TypeError
        return said

    def awaits(self, seconds: float | None) -> bool:
        """Whether something is said, or the other side goes, within so many seconds; None: it will."""
        poll = select.poll()  # and no time limit of the socket: another thread may be speaking
        poll.register(self.connection, select.POLLIN)
        return b"\n" in self._rest or bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))

    def say(self, words: Any) -> None:  # noqa: ANN401, plain data
        """Say it as a whole."""
        data = marshal.dumps(words, PORTABLE)
        with self._saying:
            self.connection.sendall(len(data).to_bytes(4, "big") + data)

    def answer(self, words: Any) -> None:  # noqa: ANN401, plain data
        """Say it, as the last thing on this connection."""
        self.connection.sendall(marshal.dumps(words, PORTABLE))

    def peer(self) -> int:
        """Returns the pid of the other side."""
        size = struct.calcsize("3i")
        credentials = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(struct.unpack("3i", credentials)[0])


def as_called(value: Any) -> Any:  # noqa: ANN401, plain data
    """Returns what the child has called: paths were told as such."""
    if isinstance(value, dict):
        if value.keys() == {"path"}:
            path = value["path"]
            return Path(os.fsdecode(path))
        return {key: as_called(each) for key, each in value.items()}
    return type(value)(map(as_called, value)) if isinstance(value, (list, tuple)) else value


def told_of(error: BaseException) -> tuple[str, str, tuple[Any, ...], str]:
    """What a child needs to raise the same."""
    kind, args = type(error), error.__reduce__()[1]  # for an OSError, the file as well
    try:
        marshal.dumps(args, PORTABLE)
    except ValueError:
        args = (str(error),)
    return kind.__module__, kind.__qualname__, cast("tuple[Any, ...]", args), str(error)
