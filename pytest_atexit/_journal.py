"""The journal: shared memory into which every process of a run writes lines, and how they are read.

docs/journal.md has the format. The addresses are sparse: each pid has its own range, and in it each program that the
process was. Nothing is evaluated; a line that can't be decoded is an error.
"""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pytest_atexit import _system
from pytest_atexit._errors import LaunchError, PytestAtexitError
from pytest_atexit._events import (
    Ended,
    Event,
    Forked,
    Frame,
    LastCall,
    LastCallFailed,
    Lost,
    Opaque,
    ProcessBegan,
    Raised,
    Registered,
    Started,
    Threw,
    Unknown,
    Unregistered,
)

FORMAT = 1
PROGRAM_BITS = 32  # as in the agent
SIZE = 1 << 62
CHUNK = 1 << 16
CONTAINERS: dict[str, Callable[[list[object]], object]] = {"t": tuple, "l": list, "e": set, "z": frozenset}


@dataclass
class Program:
    """What one program in one process wrote: its events in order, and the children forked at an index of them."""

    events: list[Event] = field(default_factory=list)
    forks: list[tuple[int, Program]] = field(default_factory=list)

    @property
    def began(self) -> ProcessBegan | None:
        """The first event; None for a forked child that has not come to write it."""
        first = self.events[0] if self.events else None
        return first if isinstance(first, ProcessBegan) else None


class Journal:
    """The parent's side of the journal of one run."""

    def __init__(self) -> None:
        import fcntl  # noqa: PLC0415, for not every system has it

        self.descriptor = _system.memfd_create("pytest-atexit")
        try:
            os.ftruncate(self.descriptor, SIZE)  # sparse: takes memory only where something is written
            # F_ADD_SEALS: F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW, for writing to a truncated mapping is fatal
            fcntl.fcntl(self.descriptor, 1033, 0x1 | 0x2 | 0x4)
        except OSError as error:
            os.close(self.descriptor)
            msg = f"no journal could be made, perhaps for a limit on file sizes (ulimit -f): {error}"
            raise LaunchError(msg) from error

    @property
    def path(self) -> str:
        """Where a child opens it, as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def close(self) -> None:
        """Give the memory back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def programs(self) -> list[Program]:
        """Returns the programs that were started, in no order; the forked ones are in their parents' `forks`."""
        found = []
        address = 0
        with contextlib.suppress(OSError):  # ENXIO: no data behind `address`
            while True:
                data = os.lseek(self.descriptor, address, _system.SEEK_DATA)
                slot = data >> PROGRAM_BITS << PROGRAM_BITS
                if os.pread(self.descriptor, 1, slot) == b"P":
                    found.append(self._program(slot, {}))
                address = slot + (1 << PROGRAM_BITS)
        return found

    def _program(self, address: int, strings: dict[int, str]) -> Program:
        program = Program()
        for line in self._lines(address):
            kind, fields = line[:1], line[1:].removeprefix("\t").split("\t")
            event = decode(kind, fields, strings)
            if event is None:
                continue
            if isinstance(event, Forked) and event.address:
                program.forks.append((len(program.events), self._program(event.address, dict(strings))))
            program.events.append(event)
        return program

    def _lines(self, address: int) -> Iterator[str]:
        """The whole lines from `address` on; a half-written last one is left out."""
        rest = b""
        while True:
            chunk = os.pread(self.descriptor, CHUNK, address)
            text, end, _ = chunk.partition(b"\0")
            lines = (rest + text).split(b"\n")
            rest = lines.pop()
            for raw in lines:
                line = raw.decode("ascii", "replace")
                if line[:1] == "G":
                    yield from self._lines(int(line[2:]))
                    return
                if line[:1] != "M":
                    yield line
            if end or not chunk:
                return
            address += len(chunk)


def unescape(text: str) -> str:
    """Returns the string behind its escaped form."""
    return codecs.decode(text, "unicode_escape") if "\\" in text else text


def decode(kind: str, fields: list[str], strings: dict[int, str]) -> Event | None:
    """Returns the event of a line, or None for one that adds to `strings`.

    Raises:
        PytestAtexitError: the line does not keep to the format.
    """
    try:
        if kind == "N":
            number, text = fields
            strings[int(number)] = unescape(text)
            return None
        if not kind:
            msg = "an empty line"
            raise ValueError(msg)  # noqa: TRY301, one error for all that is malformed
        decoder = DECODERS.get(kind)
        return decoder(fields, strings) if decoder else Unknown("\t".join([kind, *fields]))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        msg = f"the journal has a malformed line: {kind}\t{fields} ({error!r})"
        raise PytestAtexitError(msg) from error


def decode_value(text: str) -> object:
    """Returns the plain data behind its tokens."""
    return _value(iter(text.split("\x1f")))


def _value(tokens: Iterator[str]) -> object:
    token = next(tokens, "")
    kind, text = token[:1], token[1:]
    if kind in SCALARS:
        return SCALARS[kind](text)
    shown, total = map(int, text.split(":"))
    cut = [Opaque(f"<{total - shown} more>")] if total > shown else []
    if kind == "d":
        pairs = {_value(tokens): _value(tokens) for _ in range(shown)}
        return pairs | {mark: mark for mark in cut}
    return CONTAINERS[kind]([*(_value(tokens) for _ in range(shown)), *cut])


def _long_text(text: str) -> str:
    size, _, beginning = text.partition(":")
    return f"{unescape(beginning)}… ({size} characters)"


def _long_bytes(text: str) -> bytes:
    size, _, beginning = text.partition(":")
    return unescape(beginning).encode("latin-1") + f"... ({size} bytes)".encode()


SCALARS: dict[str, Callable[[str], object]] = {
    "n": lambda _: None,
    "+": lambda _: True,
    "-": lambda _: False,
    "i": lambda text: int(text, 16),
    "f": float.fromhex,
    "s": unescape,
    "S": _long_text,
    "b": lambda text: unescape(text).encode("latin-1"),
    "B": _long_bytes,
    "o": lambda text: Opaque(f"<{unescape(text)}>"),
}


def _process(fields: list[str], _: dict[int, str]) -> ProcessBegan:
    version, time, kind, pid, parent_pid, *rest = fields
    if int(version) != FORMAT:
        msg = f"format {version}, not {FORMAT}"
        raise ValueError(msg)
    began = int(time), kind, int(pid), int(parent_pid)
    if kind == "fork":
        return ProcessBegan(*began)
    interpreter, unrecorded, texts = rest
    python, executable, stdlib, *argv = map(unescape, texts.split("\x1f"))
    return ProcessBegan(*began, int(interpreter), int(unrecorded), python, executable, stdlib, tuple(argv))


def _registered(fields: list[str], strings: dict[int, str]) -> Registered:
    number, time, name, module, home, file, line, caller, thread, args, kwargs = fields
    arguments, keywords = decode_value(args), decode_value(kwargs)
    return Registered(
        number=int(number),
        time=int(time),
        qualname=unescape(name),
        module=strings[int(module)],
        home=strings[int(home)],
        file=strings[int(file)],
        line=int(line),
        caller=strings[int(caller)],
        thread=unescape(thread),
        args=arguments if isinstance(arguments, tuple) else (arguments,),
        kwargs=keywords if isinstance(keywords, dict) else {"": keywords},
    )


def _unregistered(fields: list[str], *, cleared: bool) -> Unregistered:
    return Unregistered(int(fields[0]), tuple(int(number) for number in fields[1].split(",")), cleared)


def _raised(text: str, strings: dict[int, str]) -> Raised:
    link, kind, bases, message, frames = text.split("\x1e")
    steps = (step.split("\x1d") for step in frames.split("\x1f") if step)
    return Raised(
        link=link,
        type=unescape(kind),
        bases=tuple(unescape(base) for base in bases.split("\x1f") if base),
        message=str(decode_value(message)),
        frames=tuple(Frame(strings[int(file)], int(line), strings[int(name)]) for file, line, name in steps),
    )


def _last_call(fields: list[str], strings: dict[int, str]) -> LastCall:
    time, function, file, line, _, thread, args, *path = fields
    arguments = decode_value(args)
    return LastCall(
        time=int(time),
        function=function,
        file=strings[int(file)],
        line=int(line),
        thread=unescape(thread),
        args=arguments if isinstance(arguments, tuple) else (arguments,),
        path=unescape(path[0]) if path else None,
    )


DECODERS: dict[str, Callable[[list[str], dict[int, str]], Event]] = {
    "P": _process,
    "F": lambda fields, strings: Forked(int(fields[0]), int(fields[1]), strings[int(fields[2])]),
    "R": _registered,
    "U": lambda fields, _: _unregistered(fields, cleared=False),
    "C": lambda fields, _: _unregistered(fields, cleared=True),
    "S": lambda fields, _: Started(int(fields[0], 16), fields[1] == "1", int(fields[2])),
    "E": lambda fields, _: Ended(int(fields[0], 16), int(fields[1])),
    "T": lambda fields, strings: Threw(int(fields[0]), tuple(_raised(text, strings) for text in fields[1:])),
    "X": _last_call,
    "V": lambda _, __: LastCallFailed(),
    "L": lambda _, __: Lost(),
}
