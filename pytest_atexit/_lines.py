"""The lines of the journal, decoded: what each program has written so far.

docs/journal.md has the format. Nothing is evaluated; a line that can't be decoded is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_atexit._errors import PytestAtexitError
from pytest_atexit._events import (
    Ended,
    Event,
    Forked,
    Frame,
    Ignored,
    LastCall,
    LastCallFailed,
    Lost,
    ProcessBegan,
    Raised,
    Reaped,
    Registered,
    Started,
    Threw,
    Unknown,
    Unregistered,
)
from pytest_atexit._values import decode_value, unescape

FORMAT = 1
UNTOLD = "?\t0\t0\t0\t0\t0\t"  # a site that could not be told
new_tuple = tuple.__new__  # as the `__new__` of a named tuple, which is a Python function, does


class Site(NamedTuple):
    """What a line A says: the first fields of a Registered behind its time."""

    qualname: str
    module: str
    home: str
    file: str
    line: int
    caller: str
    thread: str


class Strings(dict[int, str]):
    """The strings of a program by the numbers by which its lines refer to them.

    What a forked child has not defined itself is its parent's, also where another thread defined it between the line F
    and the fork. What the parent defines later may have the same numbers as the child's own, which come first here.
    """

    def __init__(self, parent: Program | None = None) -> None:
        super().__init__({0: ""})
        self._parent = parent

    def __missing__(self, number: int) -> str:
        ancestors: list[Program] = []
        program = self._parent
        while program is not None:  # and no recursion: there may be many generations
            ancestors.append(program)
            program = program.strings._parent  # noqa: SLF001, for it is one of ours
        for look_again in (False, True):
            for ancestor in reversed(ancestors) if look_again else ():  # it may have gone on since it was read
                ancestor.read(ancestor)
            for ancestor in ancestors:
                if number in ancestor.strings:
                    self[number] = text = ancestor.strings[number]
                    return text
        raise KeyError(number)


@dataclass
class Program:
    """What one program in one process has written so far.

    Attributes:
        events: in their order.
        forks: the children that were forked, each with the index of the event.
        address: of the first line that has not been read.
        read: reads the lines of a program that are new.
        strings: by the numbers by which lines refer to them.
        sites: by the text of a line A.
    """

    events: list[Event] = field(default_factory=list)
    forks: list[tuple[int, Program]] = field(default_factory=list)
    address: int = 0
    read: Callable[[Program], None] = lambda _: None
    strings: Strings = field(default_factory=Strings)
    sites: dict[str, Site] = field(default_factory=dict)

    @property
    def began(self) -> ProcessBegan | None:
        """The first event; None for a forked child that has not come to write it."""
        first = self.events[0] if self.events else None
        return first if isinstance(first, ProcessBegan) else None

    def take(self, lines: Iterable[str]) -> None:
        """Take the next lines in.

        Raises:
            PytestAtexitError: one does not keep to the format.
        """
        decoder, append = DECODERS.get, self.events.append
        for line in lines:
            try:
                event = decoder(line[:1], _unknown)(line, self)
            except (ValueError, IndexError, KeyError, TypeError) as error:
                msg = f"the journal has a malformed line: {line} ({error!r})"
                raise PytestAtexitError(msg) from error
            if event is not None:
                append(event)


def _unknown(line: str, _: Program) -> Unknown:
    if not line:
        msg = "an empty line"
        raise ValueError(msg)
    return Unknown(line)


def _process(line: str, _: Program) -> ProcessBegan:
    _kind, version, time, kind, pid, parent_pid, *rest = line.split("\t")
    if int(version) != FORMAT:
        msg = f"format {version}, not {FORMAT}"
        raise ValueError(msg)
    began = int(time), kind, int(pid), int(parent_pid)
    if kind == "fork":
        return ProcessBegan(*began)
    interpreter, unrecorded, texts = rest
    python, executable, stdlib, *argv = unescape(texts).split("\0")
    return ProcessBegan(*began, int(interpreter), int(unrecorded), python, executable, stdlib, tuple(argv))


def _string(line: str, program: Program) -> None:
    _, number, text = line.split("\t")
    program.strings[int(number)] = unescape(text)


def _forked(line: str, program: Program) -> Forked:
    _, time, address, module = line.split("\t")
    event = Forked(int(time), int(address), program.strings[int(module)])
    if event.address:
        child = Program(address=event.address, read=program.read, strings=Strings(program))
        program.forks.append((len(program.events), child))
    return event


def _goes_on(line: str, program: Program) -> None:
    program.address = int(line[2:])


def _registered(line: str, program: Program) -> Registered:
    _, number, time, at, *given = line.split("\t")
    text = program.strings[int(at, 16)] if at != "0" else UNTOLD
    site = program.sites.get(text)
    if site is None:
        program.sites[text] = site = _site(text, program.strings)
    if not given:
        return new_tuple(Registered, (int(number, 16), int(time, 16), *site, (), {}, "atexit", None))
    args, kwargs = given
    return Registered(int(number, 16), int(time, 16), *site, _positional(args), _keywords(kwargs))


def _where(line: str, program: Program) -> None:
    _, number, text = line.split("\t", 2)
    program.strings[int(number, 16)] = text


def _other_work(line: str, program: Program) -> Registered:
    _, kind, priority, rest = line.split("\t", 3)
    event = _registered(f"R\t{rest}", program)
    return event._replace(kind=kind, priority=int(priority) if priority else None)


def _site(text: str, strings: Strings) -> Site:
    name, module, home, file, line, caller, thread = text.split("\t")
    return Site(
        qualname=unescape(name),
        module=strings[int(module)],
        home=strings[int(home)],
        file=strings[int(file)],
        line=int(line),
        caller=strings[int(caller)],
        thread=unescape(thread),
    )


def _positional(text: str) -> tuple[object, ...]:
    value = decode_value(text)
    return value if isinstance(value, tuple) else (value,)


def _keywords(text: str) -> dict[str, object]:
    value = decode_value(text)
    return value if isinstance(value, dict) else {"": value}


def _unregistered(line: str, *, cleared: bool) -> Unregistered:
    _, time, numbers = line.split("\t")
    return Unregistered(int(time), tuple(map(int, numbers.split(","))), cleared)


def _started(line: str, _: Program) -> Started:
    time, uncaught, number = line.split("\t")
    return new_tuple(Started, (int(time[1:], 16), uncaught == "1", int(number, 16)))


def _ended(line: str, _: Program) -> Ended:
    time, number = line.split("\t")
    return new_tuple(Ended, (int(time[1:], 16), int(number, 16)))


def _threw(line: str, program: Program) -> Threw:
    _, time, number, *exceptions = line.split("\t")
    return Threw(int(time), int(number), tuple(_raised(text, program.strings) for text in exceptions))


def _ignored(line: str, program: Program) -> Ignored:
    _, time, number, phase, name, module, home, *exceptions = line.split("\t")
    return Ignored(
        time=int(time),
        number=int(number),
        phase=int(phase),
        qualname=unescape(name),
        module=program.strings[int(module)],
        home=program.strings[int(home)],
        exceptions=tuple(_raised(text, program.strings) for text in exceptions),
    )


def _raised(text: str, strings: Strings) -> Raised:
    link, kind, bases, message, frames = text.split("\x1e")
    steps = (step.split("\x1d") for step in frames.split("\x1f") if step)
    return Raised(
        link=link,
        type=unescape(kind),
        bases=tuple(unescape(base) for base in bases.split("\x1f") if base),
        message=str(decode_value(message)),
        frames=tuple(Frame(strings[int(file)], int(line), strings[int(name)]) for file, line, name in steps),
    )


def _last_call(line: str, program: Program) -> LastCall:
    _, time, function, file, number, _module, thread, args, *path = line.split("\t")
    return LastCall(
        time=int(time),
        function=function,
        file=program.strings[int(file)],
        line=int(number),
        thread=unescape(thread),
        args=_positional(args),
        path=unescape(path[0]) if path else None,
    )


def _waited(line: str, _: Program) -> Reaped | None:
    pid, status, time = (int(field, 16) for field in line[1:].split("\t"))
    if not (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
        return None  # it was stopped, or goes on
    return Reaped(time, pid, os.waitstatus_to_exitcode(status))


def _waited_by_id(line: str, _: Program) -> Reaped | None:
    pid, status, code, time = (int(field, 16) for field in line[1:].split("\t"))
    if code not in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
        return None
    return Reaped(time, pid, status if code == os.CLD_EXITED else -status)


DECODERS: dict[str, Callable[[str, Program], Event | None]] = {
    "P": _process,
    "N": _string,
    "F": _forked,
    "A": _where,
    "R": _registered,
    "K": _other_work,
    "U": lambda line, _: _unregistered(line, cleared=False),
    "C": lambda line, _: _unregistered(line, cleared=True),
    "S": _started,
    "E": _ended,
    "T": _threw,
    "I": _ignored,
    "X": _last_call,
    "V": lambda _, __: LastCallFailed(),
    "W": _waited,
    "Y": _waited_by_id,
    "L": lambda _, __: Lost(),
    "G": _goes_on,
    "M": lambda _, __: None,
}
