"""Kinds of start: what all programs of a fork server have in common, so that each kind has a server of its own."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pytest_atexit._launch._process import contents

if TYPE_CHECKING:
    from pytest_atexit._launch._invocation import Invocation

# Names that count when an interpreter starts, before it comes to the program: a server has its own.
AT_START = ("PYTHON", "LC_", "LD_", "MALLOC_", "COVERAGE_", "GLIBC_", "OPENSSL_")
AT_START_TOO = ("LANG", "LANGUAGE", "TZ", "HOME", "VIRTUAL_ENV")
FOLDERS_AT_START = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX")


class Kind(NamedTuple):
    """What all programs of a server have in common.

    Attributes:
        command: interpreter and flags.
        environment: variables that count before the program begins.
        limits: of the system.
        process: what else a process has from the one that starts it.
        preload: modules that are imported first.
        paths: folders to import them from.
        folder: the working folder at the start of the interpreter.
    """

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    limits: tuple[tuple[int, int], ...]
    process: tuple[object, ...]
    preload: tuple[str, ...]
    paths: tuple[str, ...]
    folder: str


def kind_of(invocation: Invocation, env: dict[str, str], ignored: int, preload: tuple[str, ...]) -> Kind:
    """Returns the kind of start of a program, which has this environment and ignores these signals."""
    at_start = {name: value for name, value in env.items() if counts_at_start(name, preload)}
    return Kind(
        invocation.argv[: 1 + len(invocation.flags)],
        tuple(sorted(at_start.items())),
        _limits(),
        (ignored, *_inherited()),
        preload,
        invocation.import_paths if preload else (),
        invocation.cwd if _depends_on_folder(at_start) else "/",
    )


def counts_at_start(name: str, preload: tuple[str, ...]) -> bool:
    """Whether an interpreter, or what is preloaded, may look at this variable before it comes to the program."""
    if preload and not name.startswith("PYTEST_"):  # these are pytest's and ours, and one has the name of the test
        return True
    return name.startswith(AT_START) or name in AT_START_TOO


def _depends_on_folder(env: dict[str, str]) -> bool:
    """Whether an interpreter with these variables looks for something in its working folder when it starts."""
    paths = [entry for name in FOLDERS_AT_START for entry in env.get(name, "/").split(os.pathsep)]
    return not all(map(os.path.isabs, paths)) or any(name.startswith("COVERAGE_PROCESS") for name in env)


def _inherited() -> tuple[object, ...]:
    """Returns what else a process has from the thread that starts it, and what a test might change."""
    nice, cores = os.getpriority(os.PRIO_PROCESS, 0), frozenset(os.sched_getaffinity(0))
    return os.getresuid(), os.getresgid(), (*os.getgroups(),), nice, cores, contents("/proc/self/cgroup")


def _limits() -> tuple[tuple[int, int], ...]:
    import resource  # noqa: PLC0415, for not every system has it

    limits = {number: resource.getrlimit(number) for number in _limited()}
    limits[resource.RLIMIT_CORE] = 0, limits[resource.RLIMIT_CORE][1]  # as programs have it; a thread may just be at it
    return tuple(limits.values())


@cache
def _limited() -> list[int]:
    """Returns the numbers of what can be limited."""
    import resource  # noqa: PLC0415, see above

    return sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")})
