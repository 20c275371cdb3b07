"""Which processes belong to a program, wherever they went, and their end.

A process is taken for one of a program's if it bears one of these marks, none of which can be another's:

1. It is in the session that the program was started in, whose number is not free as long as its leader isn't reaped.
2. It was started with the program's environment, in which there is the random name of our folder.
3. The program's journal is mapped into it: it is a recorded Python, or was forked from one.
4. It is in a session with such a process, or such a process, which still lives, has started it. (Nobody gets into a
   session but by being forked from a member.)

The guardian imports this module in an interpreter of its own: it uses little of the standard library.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable

from pytest_atexit._launch._process import Process, Start, contents, ticks, wait_for_end

YOUNG = 1e9  # nanoseconds in which the kernel can't have given out all pids
FREEZE = 1.0  # seconds in which what forks on and on is only stopped; then it is killed as it is found
FEW = 20  # pids that are sooner looked at, be they free or those of threads, than the list of all processes is made
LOOKS = 20  # in vain, one after the other, after which nothing more is expected, though others come and go
QUIET_LOOKS = 2  # see `_search`
ROUND = 0.1  # seconds to wait for the end of killed processes before the next look
TIDYING = 1.0  # seconds in which multiprocessing's resource trackers may remove what the others leave
TRACKER = b"from multiprocessing.resource_tracker import"  # in its command line


def nothing() -> None:
    """Do nothing."""


class Tree:
    """The processes of one or more programs.

    Args:
        since: the start of the process that was started first of these, or of one before it.
        environment: byte strings that are all in the environment of what they start.
        journal: what their journals' names begin with.
        sessions: returns the sessions that they were started in, which are also the pids of their first processes.
    """

    def __init__(
        self, since: Start, environment: tuple[bytes, ...], journal: str, sessions: Callable[[], set[int]]
    ) -> None:
        self._since = since
        self._until = float("inf")
        self._environment = environment
        self._mapping = b"/memfd:" + journal.encode()
        self._sessions = sessions

    def parent_is_gone(self) -> None:
        """From now on the first processes may be reaped, and their sessions' numbers given to others."""
        self._until = Start.moment()

    def is_lone(self) -> bool:
        """Whether nothing at all has been started on this system since the first process was; False where unknown."""
        return _last_since(self._since) == self._since.pid

    def find(
        self,
        known: Iterable[Process] = (),
        *,
        thoroughly: bool = False,
        at_once: Callable[[Process], object] = lambda _: None,
    ) -> set[Process]:
        """Returns the living processes, and reaps those that had become children of ours and have ended.

        Args:
            known: some that belong to it; zombies may be among them.
            thoroughly: look for mapped journals too, which takes longer.
            at_once: called with each one that is found by its own marks, before the next one is looked at.
        """
        first = self._sessions()
        others: set[Process] = set()
        more = {now for process in known if (now := Process.look(process.pid)) == process}
        for pid in _pids_since(self._since):
            process = Process.look(pid)
            if process is None or process.started < self._since.started:
                continue
            if self._is_in(process, first) or self._is_marked(process, thoroughly):
                more.add(process)
                at_once(process)
            else:
                others.add(process)
        found: set[Process] = set()
        while more:
            found |= more
            others -= more
            pids = {process.pid for process in found}
            sessions = {process.session for process in found}
            more = {process for process in others if process.parent in pids or process.session in sessions}
        self._reap(process for process in found if process.is_zombie)
        return {process for process in found if not process.is_zombie}

    def _first_ones(self) -> list[Process]:
        """The processes that were started as programs, be they zombies, which still lead their groups."""
        looked = [process for pid in self._sessions() if (process := Process.look(pid))]
        return [process for process in looked if process.started <= self._until]

    def _is_in(self, process: Process, sessions: set[int]) -> bool:
        return process.session in sessions and process.started <= self._until

    def _is_marked(self, process: Process, thoroughly: bool) -> bool:
        environment = contents(f"/proc/{process.pid}/environ")
        if not environment:  # It is ending, or another user's, or never had a mark.
            return False
        if all(mark in environment for mark in self._environment):
            return True
        return thoroughly and self._mapping in contents(f"/proc/{process.pid}/maps")

    def _reap(self, processes: Iterable[Process]) -> None:
        """Reap what has ended as a child of this process (it may be PID 1), but not what this process has started."""
        first = self._sessions()
        for process in processes:
            if process.pid in first:
                continue
            now = Process.look(process.pid)
            if now and now == process and now.is_zombie and now.parent == os.getpid():
                now.reap()

    def _search(
        self, known: Iterable[Process], refused: set[Process], at_once: Callable[[Process], object]
    ) -> set[Process]:
        """As `find`, but what gives way to a child during a look can't be overlooked.

        Two looks in which no pid was given out prove that there is nothing: what forked during the first one, unseen,
        has its child in the second one.
        """
        last, quiet = _last_pid(), 0
        for _ in range(LOOKS):
            if found := self.find(known, thoroughly=True, at_once=at_once) - refused:
                return found
            before, last = last, _last_pid()
            quiet = quiet + 1 if 0 < before == last else 0
            if quiet == QUIET_LOOKS:
                break
        return set()

    def end(
        self, patience: float, known: Iterable[Process] = (), before_kill: Callable[[], object] = nothing
    ) -> set[Process]:
        """End all of them and what they start meanwhile; returns what had to be killed.

        What is found is stopped first, for a stopped process neither forks nor leaves its children. What this process
        may not signal is left alone. A resource tracker is killed last: once all others are gone, it removes their
        shared memory and ends by itself.

        Args:
            patience: seconds after which it gives up.
            known: some that belong to it.
            before_kill: called when all are stopped, but before the first one is killed.
        """
        began = time.monotonic()
        ended: set[Process] = set()
        trackers: set[Process] = set()
        # Before anything is looked at, which takes long while many processes fork: the groups of the first ones.
        refused = _send(signal.SIGSTOP, self._first_ones())

        def stop(process: Process) -> None:
            refused.update(_send(signal.SIGSTOP, {process} - ended))

        while (found := self._search(known, refused, stop)) and time.monotonic() - began < patience:
            new = found - ended
            refused |= _send(signal.SIGSTOP, new)
            known = ended = ended | found
            if new and time.monotonic() - began < FREEZE:
                continue
            before_kill()
            before_kill = nothing
            if tidying := {process for process in found - trackers if process.runs(TRACKER)}:
                trackers |= tidying
                _leave_to(tidying, found - tidying)
                continue
            refused |= _send(signal.SIGKILL, found)
            trackers -= found
            wait_for_end(found - refused, ROUND)
        self._reap(ended)
        return ended - refused - trackers


def _send(signum: int, processes: Iterable[Process]) -> set[Process]:
    """Send a signal, and return those that may not be sent one."""
    return {process for process in processes if not process.signal_group(signum)}


def _leave_to(trackers: Iterable[Process], others: Iterable[Process]) -> None:
    """Kill the others, one by one, for trackers are in their groups, and let the trackers end by themselves."""
    deadline = time.monotonic() + TIDYING
    for process in others:
        process.signal(signal.SIGKILL)
    for tracker in trackers:
        tracker.signal(signal.SIGCONT)
    while (left := [now for each in trackers if (now := Process.of(each.pid)) == each]) and time.monotonic() < deadline:
        wait_for_end(left, deadline - time.monotonic())


def _last_pid() -> int:
    """The pid that the kernel gave out last, to a process or a thread; 0 if it doesn't say."""
    return int((contents("/proc/loadavg").split() or [b"0"])[-1])


def _last_since(first: Start) -> int:
    """The pid that was given out last, if all that were since a process was started are higher than its; else 0."""
    last = _last_pid()
    is_young = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks(first.started) < YOUNG
    return last if is_young and last >= first.pid else 0


def _pids_since(first: Start) -> list[int]:
    """The pids of what was started after a process, the youngest first; those of older ones may be among them."""
    last = _last_since(first)
    if 0 <= last - first.pid < FEW:
        return list(range(last, first.pid - 1, -1))
    oldest = first.pid if last else 0
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return sorted((pid for pid in pids if pid >= oldest), reverse=True)
