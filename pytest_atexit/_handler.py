"""A handler and what became of it, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass, field

HIDDEN = ("stdlib", "coverage")  # origins that lists of names leave out


@dataclass(frozen=True, slots=True)
class HandlerException:
    """What a handler raised. The agent runs no `__str__` of the program's own: `message` then comes from `args`.

    Attributes:
        type: qualified name, without "builtins.".
        bases: qualified names of the type's bases in the order of its MRO, without object.
        message: what `str(exception)` gave.
        traceback: the text as Python prints it.
    """

    type: str
    bases: tuple[str, ...]
    message: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True, slots=True)
class Handler:
    """One registration of a handler or of other work at exit, or on a timeline one call of it.

    Attributes:
        number: of the registration, unique in the run and in the order of registration; an inherited one keeps it.
        name: the `__qualname__` behind its last `<locals>.`; `partial(close)`, `<lambda>`, or the type of an object.
        qualname: the whole `__qualname__`.
        module: the module that defines it.
        args: positional arguments; what isn't plain data is a string such as `<module.Type>`.
        kwargs: keyword arguments, likewise.
        where: file and line that registered it, such as "app.py:12".
        origin: who registered it: program, library, stdlib or coverage.
        kind: "atexit"; "threading", a callback of `threading._register_atexit`; "thread", a non-daemon thread that the
            interpreter waits for; "finalize", of `weakref.finalize`; "multiprocessing", a `util.Finalize`; or
            "unraisable", an exception that was ignored during the exit, and was no other entry's.
        state: ran, failed, unfinished, skipped or unregistered.
        exception: what it raised, or None.
        started: when it was called, in seconds after its program's start; None if it was not.
        finished: when it returned or raised, likewise.
        thread: the thread that registered it.
        interpreter: 0 for the main interpreter.
        inherited: it was registered before a fork, in the parent.
        priority: of a multiprocessing finalizer, None if it has none.
        phase: the part of the exit in which it was called: "threading" (callbacks and threads), "atexit", or
            "teardown", when modules are cleared. None if it was not, or not at exit.
    """

    number: int
    name: str
    qualname: str
    module: str
    args: tuple[object, ...]
    kwargs: dict[str, object] = field(hash=False)
    where: str
    origin: str
    kind: str
    state: str
    exception: HandlerException | None
    started: float | None
    finished: float | None
    thread: str
    interpreter: int
    inherited: bool
    priority: int | None = None
    phase: str | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from the call to its end, or None."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started

    def __str__(self) -> str:
        if self.kind in ("thread", "unraisable"):
            return self.name
        shown = [repr(value) for value in self.args] + [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(shown)})"
