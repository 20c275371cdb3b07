"""What the import of a module must not do in the process that imports it: register, install, start."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_atexit import _explain
from pytest_atexit._errors import printable
from pytest_atexit._handler import HIDDEN
from pytest_atexit._origin import shown_path

if TYPE_CHECKING:
    from pytest_atexit._result import ExitResult

PROGRAM = Path(__file__).parent / "_importing.py"
FOUND = "found.json"
NATIVE = "native thread"
KINDS = {
    "atexit": "exit handler",
    "threading": "callback of threading",
    "finalize": "finalizer",
    "multiprocessing": "finalizer of multiprocessing",
}


class Offender(NamedTuple):
    """Something that an import has left.

    Attributes:
        names: by which it can be allowed.
        text: what it is, and where it was made.
        modules: whose it is: all that these or packages around them leave can be allowed.
    """

    names: tuple[str, ...]
    text: str
    modules: tuple[str, ...] = ()

    def is_allowed(self, allowed: set[str]) -> bool:
        """Whether one of these names accepts it."""
        around = (part for module in self.modules for part in accumulate(module.split("."), "{}.{}".format))
        return not allowed.isdisjoint([*self.names, *around])


def check_names(module: object, allow: object) -> tuple[str, ...]:
    """Returns the names that are allowed; raises an error for what is no module's name, or for no list of names."""
    if not isinstance(module, str) or not all(part.isidentifier() for part in module.split(".")):
        msg = f"the name of a module is needed, such as 'package.module', not {module!r}"
        raise ValueError(msg)
    names = (*allow,) if isinstance(allow, Iterable) and not isinstance(allow, str) else (allow,)
    if names == (allow,) or not all(isinstance(name, str) for name in names):
        msg = f"allow is a list of names, such as [{allow if isinstance(allow, str) else 'close'!r}], not {allow!r}"
        raise TypeError(msg)
    return names


def verdict(module: str, result: ExitResult, registrants: Mapping[int, str], allow: Iterable[str]) -> str:
    """Returns what is wrong with the import that a run of PROGRAM did; nothing if it was quiet.

    Args:
        module: that was imported.
        result: of the run.
        registrants: the modules whose code registered handlers, by the handlers' numbers.
        allow: names that are accepted.
    """
    file = result.path / FOUND
    if not file.exists():
        lines = [f"the import of {module} did not come to its end ({result.status})"]
        return "\n".join([*lines, *_explain.output("stdout", result.stdout), *_explain.output("stderr", result.stderr)])
    allowed = {*allow}
    left = [offender for offender in _offenders(result, registrants, file) if not offender.is_allowed(allowed)]
    if not left:
        return ""
    names = [*dict.fromkeys(offender.names[0] for offender in left)]
    return printable(
        "\n".join(
            [
                f"the import of {module} is not quiet:",
                *(f"  {offender.text}" for offender in left),
                f"allow={names!r} accepts that.",
            ]
        )
    )


def _signal_name(number: int) -> str:
    """Returns "SIGTERM"; of those for real time, only the first and the last have a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _offenders(result: ExitResult, registrants: Mapping[int, str], file: Path) -> Iterator[Offender]:
    folders = [entry for entry in sys.path if entry]
    for handler in result.handlers:
        if handler.kind in KINDS and handler.origin not in HIDDEN and handler.state == "skipped":
            text = f"{KINDS[handler.kind]} {handler}, registered at {shown_path(handler.where, folders)}"
            yield Offender((handler.name, handler.qualname), text, (handler.module, registrants[handler.number]))
    found = json.loads(file.read_text())
    for number, (disposition, path, line, module) in found["signals"].items():
        name = _signal_name(int(number))
        place = f", installed at {shown_path(path, folders)}:{line}" if path else ""
        told = f"{name} is {disposition}" if disposition == "ignored" else f"signal handler for {name}: {disposition}"
        told = f"{name} has its default action" if disposition == "default action" else told
        yield Offender((name, disposition), told + place, (module,))
    for name, path, line, module in found["threads"]:
        yield Offender((name,), f"thread {name}, started at {shown_path(path, folders)}:{line}", (module,))
    if found["native"]:
        yield Offender((NATIVE,), f"{_explain.plural(found['native'], NATIVE)}, started by C code")
