"""Interpreters, which are real unless they are registered: a recorded Python asks, and what a shell calls does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

INTERPRETER = re.compile(r"((?:python|pypy)[\d.]*t?)|(?:ba|da|a|z|k)?sh|busybox")
VALUED = re.compile(r"[-+][a-zA-Z]*[oO]|--(rcfile|init-file)")  # options of shells that take a further word
FIRST_LINE = re.compile(r"#![ \t]*(?:\S*/env[ \t]+)?(\S+)[ \t]*(.*)")  # of a script: its interpreter, and options
LONGEST = 100_000  # characters in a word of a command line: the system's limit, and room


def is_interpreter(command: str) -> bool:
    """Whether a command is real unless it is registered, by its name."""
    return bool(INTERPRETER.fullmatch(os.path.basename(command)))


def is_shell(command: str) -> bool:
    """Whether that is a shell."""
    found = INTERPRETER.fullmatch(os.path.basename(command))
    return found is not None and not found[1]


def is_recorded_python(args: Sequence[str], facts: Sequence[str], agent: str) -> bool:
    """Whether a Python with these arguments will be recorded.

    Args:
        args: without its name.
        facts: the executable, without links; where its journal is; and its PYTHONPATH.
        agent: what is to be on PYTHONPATH.
    """
    executable, journal, search = facts
    is_python = is_interpreter(executable) and not is_shell(executable)
    return is_python and bool(journal) and agent in search.split(os.pathsep) and not keeps_out(args)


def keeps_out(args: Sequence[str]) -> bool:
    """Whether one of an interpreter's flags keeps the recorder out."""
    rest = iter(args)
    for arg in rest:
        if arg[:1] != "-" or arg in ("-", "--"):
            break
        for place, letter in enumerate(arg[1:], 2) if arg[:2] != "--" else ():
            if letter in "ISE":
                return True
            if letter in "cm":  # and the program
                return False
            if letter in "WX":  # and a value
                _ = arg[place:] or next(rest, "")
                break
    return False


def shell_line(command: list[str], executable: str, pid: int) -> list[str]:
    """Returns the command line by which a shell runs that, if it is one or a script for one, else nothing.

    Args:
        command: the name, and the arguments.
        executable: path of what is to be executed, as that process sees it.
        pid: of the process.
    """
    if is_shell(command[0]) and is_interpreter(executable):
        return command
    found = FIRST_LINE.match(_read(pid, executable))
    return [found[1], *found[2].split(), executable, *command[1:]] if found and is_shell(found[1]) else []


def asking_shell(
    command: list[str], pid: int, line_for: Callable[[str], str], read_stdin: Callable[[], bytes], folder: str
) -> list[str]:
    """Returns the command line of a shell in which all that it calls asks: of its text, its script or its stdin.

    Args:
        command: the name, and the arguments.
        pid: of the process that will execute it.
        line_for: returns the text that is to be executed instead of another one.
        read_stdin: returns all of what the process would read there, unless that is a terminal.
        folder: its working folder, if it will be another one.
    """
    has_text, at = False, 1
    while at < len(command) and command[at][:1] in ("-", "+") and command[at] not in ("-", "--"):
        has_text = has_text or ("c" in command[at] and command[at][:2] != "--")
        at += 1 + bool(VALUED.fullmatch(command[at]))
    options, rest = command[:at], command[at + (command[at : at + 1] in (["-"], ["--"])) :]
    if has_text:
        return [*options, line_for(rest[0]), *rest[1:]] if rest else command
    if rest and "-s" not in options:
        text = _read(pid, os.path.join(folder, rest[0]))
    else:
        text, rest = os.fsdecode(read_stdin()), [command[0], *rest]
    if not text:
        return command
    return [*(option for option in options if option != "-s"), "-c", line_for(text), *rest]


def _read(pid: int, script: str) -> str:
    """Returns a script as that process sees it; nothing if it can't be read or is too long for a command line."""
    root = Path(f"/proc/{pid}/root") if script[:1] == "/" else Path(f"/proc/{pid}/cwd")
    try:
        with open(root / script.lstrip("/"), "rb") as file:
            text = os.fsdecode(file.read(LONGEST))
    except OSError:
        return ""
    return text if len(text) < LONGEST and "\0" not in text else ""
