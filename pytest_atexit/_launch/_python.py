"""Which commands run a Python, and by which flags."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

NAMES = ("python", "pypy")
BEFORE_PROGRAM = re.compile("[^cmWX]*")  # -c and -m bring the program, -W and -X a value


def python_line(executable: str, args: Iterable[str] = ()) -> list[str] | None:
    """Returns the command line of the Python that a command is run by, or None if it is run by none.

    That is the command itself, or what the first line of a script makes of it.
    """
    if _is_python(os.path.realpath(executable)):
        return [executable, *args]
    with open(executable, "rb") as file:
        first = file.readline(256) if file.read(2) == b"#!" else b""
    parts = [os.fsdecode(part) for part in first.split()]
    found = next((index for index, part in enumerate(parts) if _is_python(part)), None)
    return None if found is None else [*parts[found:], executable, *args]


def flags_of(line: Sequence[str]) -> list[str]:
    """Returns the flags of a Python's command line, each for itself: "-IS" is "-I" and "-S"."""
    flags = []
    args = iter(line[1:])
    for arg in args:
        if not arg.startswith("-") or arg in ("-", "--"):
            break
        if arg.startswith("--"):
            flags.append(arg)
            continue
        letters = BEFORE_PROGRAM.match(arg, 1)
        assert letters is not None  # it matches anything
        flags += [f"-{letter}" for letter in letters[0]]
        rest = arg[letters.end() :]
        if rest[:1] in ("c", "m"):
            break
        if rest:  # "-W" alone is followed by its value
            _ = len(rest) > 1 or next(args, "")
    return flags


def _is_python(path: str) -> bool:
    return os.path.basename(path).startswith(NAMES)
