"""Whose commands those were: what answers know of them, and the journal of handlers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from pytest_atexit import _explain
from pytest_atexit._errors import CommandNotRegistered
from pytest_atexit._records import short_name
from pytest_atexit._replay import Call, Life
from pytest_atexit._result import Command, ExitResult

if TYPE_CHECKING:
    from pytest_atexit._commands._asked import Asked

SHOWN = 10  # commands in a message: the first ones


def commands_of(asked: Iterable[Asked], lives: Sequence[Life], outside: Mapping[int, int]) -> list[Command]:
    """Returns what was asked for, with the process and the handler that called it.

    Args:
        asked: in order.
        lives: of all processes of the run.
        outside: pids as records have them, by those that the processes themselves see, where these differ.
    """
    return [_command(each, lives, outside) for each in asked]


def _command(asked: Asked, lives: Sequence[Life], outside: Mapping[int, int]) -> Command:
    pids = [outside.get(pid, pid) for pid in asked.pids]
    life = next((life for pid in pids for life in reversed(lives) if life.began.pid == pid), None)
    while life and life.only_spawns and life.parent:  # `os.spawnv` and the like have forked it
        life = life.parent
    pid = life.began.pid if life else pids[0]
    handler = None if asked.in_thread else _handler([life for life in lives if life.began.pid == pid], asked.moment)
    return Command(asked.words, pid, handler, asked.code)


def _handler(lives: Sequence[Life], moment: int) -> str | None:
    """The name of the handler that was running in a process: of several, the one that was called last."""
    running = [call for life in lives for call in life.calls if _is_running(call, moment)]
    if not running:  # it may have been forked by one
        running = [call for life in lives if life.parent for call in life.parent.calls if _is_running(call, life.born)]
    latest = max(running, key=lambda call: call.started, default=None)
    return short_name(latest.registration.event.qualname) if latest and latest.registration else None


def _is_running(call: Call, moment: int) -> bool:
    is_work = call.registration is not None and call.registration.event.kind not in ("thread", "unraisable")
    return is_work and call.started <= moment and (call.finished is None or moment <= call.finished)


def raise_refused(result: ExitResult, refused: Sequence[Command]) -> NoReturn:
    """Raise CommandNotRegistered for commands that were called and that the test has not registered."""
    __tracebackhide__ = True
    what = "a command was" if len(refused) == 1 else f"{len(refused)} commands were"
    lines = [f"{what} called that fp= has no registration for, so nothing ran ({result.status}):"]
    for each in refused[:SHOWN]:
        who = f"the handler {each.handler}" if each.handler else "no handler"
        lines.append(f"  {list(each.command)}, called by {who} in process {each.pid}")
    if len(refused) > SHOWN:
        lines.append(f"  … and {len(refused) - SHOWN} more")
    first = list(refused[0].command)
    lines += [
        f"Register it before the program calls it: fp.register({first}). To let the real one run:",
        f"fp.pass_command({first}), or fp.allow_unregistered(True) for all.",
        "",
        *_explain.story(result),
    ]
    raise CommandNotRegistered("\n".join(lines), result)
