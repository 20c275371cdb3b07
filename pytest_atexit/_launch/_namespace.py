"""Programs as PID 1 of a PID namespace of their own, as in a container."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_atexit import _system
from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._popen import Child
from pytest_atexit._launch._process import contents

PROGRAM = Path(__file__).parent / "_pid1.py"
LONGEST = 1 << 12  # of what it reports, in bytes


class NamespaceRefused(LaunchError):
    """The system allows no PID namespace."""


def start_as_pid1(
    argv: Sequence[str],
    env: Mapping[str, str],
    **options: Any,  # noqa: ANN401, what Popen takes
) -> Child:
    """Start a program as the first process of a PID namespace, as a child of this process.

    Args:
        argv: its command line.
        env: its environment.
        options: as of Popen.

    Raises:
        NamespaceRefused: the system doesn't allow it.
        OSError: the program can't be executed.
    """
    reader, writer = os.pipe()
    variables = _system.memfd_create("pytest-atexit environment")
    try:
        try:
            with open(variables, "wb", closefd=False) as file:
                file.writelines(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())
            os.lseek(variables, 0, os.SEEK_SET)
            own = [sys.executable, "-I", "-S", str(PROGRAM), str(writer), str(variables)]
            child = Child(
                [*own, *argv],
                pass_fds=(writer, variables),
                env={name: value for name, value in os.environ.items() if name.startswith("LD_")},
                **options,
            )
        finally:
            os.close(writer)
            os.close(variables)
        with open(reader, "rb", closefd=False) as report:
            told = dict(line.split(" ", 1) for line in report.read(LONGEST).decode("utf-8", "replace").splitlines())
    finally:
        os.close(reader)
    child.wait()  # for what has started the program
    if pid := told.get("pid"):
        child.pid, child.returncode = int(pid), None
    if "failed" in told or not pid:
        child.wait()
        for stream in filter(None, (child.stdout, child.stderr)):
            stream.close()
        if "failed" in told:
            number = int(told["failed"])
            raise OSError(number, os.strerror(number), argv[0])
        why = told.get("refused", f"{sys.executable} ended with status {child.returncode}")
        raise NamespaceRefused(
            f"as_pid1 needs a PID namespace of the program's own, which this system doesn't allow ({why}): "
            "it takes Linux, and root, or user namespaces for everybody"
        )
    return child


def pids_outside(first: int) -> dict[int, int]:
    """Returns the pids of the living processes of a PID namespace by what they are inside.

    Args:
        first: PID 1 of it, as seen from outside.
    """
    found = {}
    own = _namespace_of(first)
    for name in os.listdir("/proc") if own else ():
        if name.isdigit() and _namespace_of(int(name)) == own:
            for line in contents(f"/proc/{name}/status").splitlines():
                if line.startswith(b"NSpid:"):
                    found[int(line.split()[-1])] = int(name)
    return found


def _namespace_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
