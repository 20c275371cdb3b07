"""Chooses how a program is started: `spawn`, `fork`, or whichever suits it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._fork import ForkServers, Unusable
from pytest_atexit._launch._spawn import spawn

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_atexit._launch._fork import Forked
    from pytest_atexit._launch._invocation import Invocation, Stdin
    from pytest_atexit._launch._popen import Child

LAUNCHERS = ("auto", "spawn", "fork")
WHERE_TO_PRELOAD = "@pytest.mark.atexit, --atexit-preload or atexit_preload"
KEEP_US_OUT = frozenset("ISE")  # flags of an interpreter


@dataclass(frozen=True)
class Launcher:
    """A way to start programs.

    Attributes:
        name: auto, spawn or fork.
        servers: those of the session.
        preload: modules that a fork server imports first.

    Raises:
        LaunchError: there is no such launcher.
    """

    name: str
    servers: ForkServers
    preload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in LAUNCHERS:
            msg = f"there is no launcher {self.name!r}; the launchers are {', '.join(map(repr, LAUNCHERS))}"
            raise LaunchError(msg)

    def launch(self, invocation: Invocation, journal: str, entry: Path, stdin: Stdin) -> Child | Forked:
        """Start a program.

        Raises:
            LaunchError: it could not be started.
        """
        if self.name == "spawn" or _keeps_us_out(invocation):
            return spawn(invocation, journal, entry, stdin)
        demanded, preloading = self.name == "fork", ""
        why = _unsuitable(invocation, demanded=demanded)
        if not why:
            try:
                return self.servers.launch(invocation, journal, entry, stdin, self.preload)
            except Unusable as error:
                why = str(error)
                if self.preload:  # what can't be preloaded must not go unnoticed
                    demanded, preloading = True, f" with preload={','.join(self.preload)} ({WHERE_TO_PRELOAD})"
        if demanded:
            msg = f"the program can't be forked{preloading}: {why}"
            raise LaunchError(msg)
        return spawn(invocation, journal, entry, stdin)


def _keeps_us_out(invocation: Invocation) -> bool:
    """Whether flags keep the agent out, and with it the fork server: the run will be `NotRecorded`."""
    return any(flag[:1] == "-" and flag[1:2] != "-" and KEEP_US_OUT & {*flag} for flag in invocation.flags)


def _unsuitable(invocation: Invocation, *, demanded: bool) -> str:
    """Returns why a program is not forked; nothing where it is."""
    if invocation.as_pid1:
        return "it is to be PID 1"
    if invocation.script is None:
        return "a command line is always started anew"
    if sys.implementation.name != "cpython":
        return "the interpreter is not CPython"
    if demanded:
        return ""
    if not invocation.is_text or invocation.flags or invocation.python != sys.executable:
        return "it is not source text or a function for this interpreter without flags"
    if any(name.startswith("COVERAGE_PROCESS") for name in invocation.env):
        return "coverage is measured in it"
    return ""
