"""What the agent writes down: one frozen type for each kind of line in the journal (docs/journal.md).

The three kinds of which there may be thousands are named tuples: these are made four times as fast as the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Opaque(str):
    """Stands for a value that isn't plain data: "<module.Type>", for only the name of its type was recorded."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a traceback."""

    file: str
    line: int
    name: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception as it was recorded: type names are qualified, `bases` are those of its MRO without object."""

    link: str
    type: str
    bases: tuple[str, ...]
    message: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class ProcessBegan:
    """A program began in a process, or a process was forked; `time` in nanoseconds of the monotonic clock."""

    time: int
    kind: str
    pid: int
    parent_pid: int
    interpreter: int = 0
    unrecorded: int = 0
    python: str = ""
    executable: str = ""
    stdlib: str = ""
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forked:
    """This process is about to fork; the child's lines begin at `address`, or nowhere (0)."""

    time: int
    address: int
    module: str


class Registered(NamedTuple):
    """A handler was registered, or other work that is done at exit: `kind` as Handler.kind.

    Attributes:
        priority: of a multiprocessing finalizer; None if it has none.
    """

    number: int
    time: int
    qualname: str
    module: str
    home: str
    file: str
    line: int
    caller: str
    thread: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    kind: str = "atexit"
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Unregistered:
    """Handlers were taken out, by `unregister` or, if `cleared`, by `_clear`; or other work won't be done at exit."""

    time: int
    numbers: tuple[int, ...]
    cleared: bool


class Started(NamedTuple):
    """A handler was called. Number 0 is `atexit._run_exitfuncs` itself, called by the program.

    `uncaught`: an exception that ended the program had been printed before.
    """

    time: int
    uncaught: bool
    number: int


class Ended(NamedTuple):
    """A handler returned."""

    time: int
    number: int


@dataclass(frozen=True, slots=True)
class Threw:
    """A handler raised, or without a number what was called last: the exception first, then what it came from."""

    time: int
    number: int
    exceptions: tuple[Raised, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """An exception was reported and ignored that no handler raised.

    Attributes:
        number: of the thread in which it was raised, or 0. If the interpreter waits for it, that may begin later.
        phase: 2 in the interpreter's teardown, 1 in the exit before that, 0 if it may have been before the exit.
        qualname: of what raised it: a `__del__`, for example; or the name of a thread.
    """

    time: int
    number: int
    phase: int
    qualname: str
    module: str
    home: str
    exceptions: tuple[Raised, ...]


@dataclass(frozen=True, slots=True)
class LastCall:
    """The program called `os._exit`, `os.execv` or `os.execve`.

    `path` is the PYTHONPATH that an exec hands on, None where it is not known.
    """

    time: int
    function: str
    file: str
    line: int
    thread: str
    args: tuple[object, ...]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class LastCallFailed:
    """The call noted before did not end the process: it raised."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """The program was told how a child of its process ended; `returncode` as that of `Popen`."""

    time: int
    pid: int
    returncode: int


@dataclass(frozen=True, slots=True)
class Lost:
    """From here on something could not be written down."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A line of a kind that this version does not know."""

    text: str


Event: TypeAlias = (
    ProcessBegan
    | Forked
    | Registered
    | Unregistered
    | Started
    | Ended
    | Threw
    | Ignored
    | LastCall
    | LastCallFailed
    | Reaped
    | Lost
    | Unknown
)
