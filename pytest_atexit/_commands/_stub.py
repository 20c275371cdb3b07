"""Runs in the place of a command that a test answers for, in an interpreter of its own: `python -I -S`.

It says what the test has registered, waits as long as that says, passes signals on, and ends as it is told.

    sys.argv[1:] = ["#7"]                   the answer of that number, for which `subprocess.Popen` has asked
                   [stub, "stop", "web"]    a command, called by the path of a stub: we ask for it

docs/commands.md has what is said. It is run by path, and uses little of the standard library: each call starts it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` takes longer to import than all else here
import _socket
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes longer to import than all else here
    from typing import Any, NoReturn

UNKNOWN = 127  # what a shell returns for a command that it doesn't find
KEPT = {9, 17, 18, 19, 20, 21, 22, 23, 28}  # can't be caught, or stops and goes on as ever, or is ignored by default


def main() -> None:
    first, *rest = sys.argv[1:]
    server, secret, *folders = os.environ.get("PYTEST_ATEXIT_COMMANDS", ":").split(":")
    command = [name_of(first), *rest]
    if command[0] == "%":  # it executes what is in its arguments
        command = rest
    if command[0] in os.environ.get("PYTEST_ATEXIT_PASS", "").split(":"):
        execute(command, folders)
    line = Line()
    try:
        line.connect("\0" + server)
    except OSError:
        refuse(f"The process '{' '.join(command)}' was not registered: there is no test (fp=) to ask.")
    if first[:1] == "#":
        line.say(secret, "attach", int(first[1:]))
    else:
        environ = os.environ.get
        facts = [
            os.path.realpath(found(command[0], folders) or command[0]),
            environ("PYTEST_ATEXIT_JOURNAL", ""),
            environ("PYTHONPATH", ""),
        ]
        line.say(secret, "call", ancestors(), environ("PYTEST_ATEXIT_ASKER", ""), command, facts)
    kind, *answer = line.hear()
    while kind == "read":
        line.say(b"" if os.isatty(0) else everything(0))
        kind, *answer = line.hear()
    if kind == "refused":
        refuse(answer[0])
    if kind == "pass":
        line.close()
        execute(answer[0], folders)
    behave(line, *answer)


def behave(line: Line, stdout: bytes, stderr: bytes, wants_input: bool) -> None:
    """Be what is registered, to the end."""
    for number in _signal.valid_signals() - KEPT:
        _signal.signal(number, lambda number, _: line.say("signal", int(number)))
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    write(1, stdout)
    write(2, stderr)
    if wants_input:
        line.say("input", everything(0))
    code, stdout, stderr = line.hear()
    write(1, stdout)
    write(2, stderr)
    if code < 0:
        if -code not in KEPT:
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 255)


class Line(_socket.socket):
    """A connection to the test."""

    def __init__(self) -> None:
        super().__init__(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def say(self, *words: object) -> None:
        """Say plain data; where nobody listens, `hear` will find that."""
        try:  # noqa: SIM105, contextlib takes long to import
            self.sendall(ascii(words).encode() + b"\n")
        except OSError:
            pass

    def hear(self) -> Any:  # noqa: ANN401, plain data
        """Returns what the test says."""
        return marshal.loads(self._take(int.from_bytes(self._take(4), "big")))  # noqa: S302, it is the test's

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.recv(size - len(data))
            if not part:  # the test is over
                os._exit(UNKNOWN)
            data += part
        return data


def everything(descriptor: int) -> bytes:
    """Returns what can be read, to its end."""
    data = b""
    while part := os.read(descriptor, 1 << 16):
        data += part
    return data


def write(descriptor: int, data: bytes) -> None:
    """Write all of it, unless nobody reads it."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass


def refuse(message: str) -> NoReturn:
    """Say why nothing runs, and end."""
    write(2, f"ProcessNotRegisteredError: {message}\n".encode(errors="backslashreplace"))
    os._exit(UNKNOWN)


def name_of(stub: str) -> str:
    """Returns the name or the path of the command that a stub stands for."""
    base = stub.rpartition("/")[2]
    return base.replace("%2F", "/").replace("%25", "%") if "%2F" in base else base


def ancestors() -> list[int]:
    """Returns the pid of this process, which another one may have become, and those of what has started it."""
    pids: list[int] = []
    pid = os.getpid()
    while pid > 0 and pid not in pids:
        pids.append(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return pids


def found(name: str, folders: list[str]) -> str | None:
    """Returns the path of a real command."""
    paths = [name] if "/" in name else [f"{folder}/{name}" for folder in os.environ.get("PATH", "").split(":")]
    for path in paths:
        if path.rpartition("/")[0] not in folders and os.access(path, os.X_OK):
            return path
    return None


def execute(command: list[str], folders: list[str]) -> NoReturn:
    """Become the real command, which is on PATH behind our folders."""
    path = found(command[0], folders)
    if path:
        os.execv(path, command)  # noqa: S606, this is what it stands for
    write(2, f"{command[0]}: not found\n".encode(errors="backslashreplace"))
    os._exit(UNKNOWN)


if __name__ == "__main__":
    main()
