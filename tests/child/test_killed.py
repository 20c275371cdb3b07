"""Programs killed at any moment leave a whole journal, and nothing else. A long proof."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_atexit import CapExit, ExitResult, RunningProgram
from pytest_atexit._events import Ended, Forked, Lost, Registered, Started, Threw, Unregistered
from pytest_atexit._lines import Program

pytestmark = pytest.mark.slow

PROGRAMS = 500
Marked = Callable[[str], list[int]]
Kind = TypeVar("Kind", bound=object)

# Tells each step before and after it, as "PID STEP KEY". A key is "PID.THREAD.COUNT"; each thread counts its own.
KILLED = """
import atexit, os, sys, threading
from itertools import count

def tell(step, key=""):
    os.write(1, f"{os.getpid()} {step} {key}\\n".encode())

def handler(key, text):
    tell("runs", key)

def fails(key, text):
    tell("runs", key)
    raise ValueError(key)

def registers(thread, numbers, function=handler):
    key = f"{os.getpid()}.{thread}.{next(numbers)}"
    tell("registers", key)
    atexit.register(function, key, "x" * (len(key) * 97 % 700))
    tell("registered", key)

def thread(name):
    numbers = count()
    while turns.acquire():  # as fast as the main thread goes, not faster
        registers(name, numbers)

def child(end):
    numbers = count()
    tell("lives")
    for function in handler, fails, handler:
        registers("child", numbers, function)
    if end == 0:
        os._exit(0)
    if end == 1:
        os.kill(os.getpid(), 9)
    if end == 2:
        atexit._run_exitfuncs()
        os._exit(0)
    sys.exit(0)

sys.setswitchinterval(1e-6)
turns = threading.Semaphore(0)
sys.unraisablehook = lambda unraisable: None
tell("lives")
for name in range(THREADS):
    threading.Thread(target=thread, args=(name,), daemon=True).start()
numbers = count()
for end in count():
    for _ in range(5):
        turns.release(2)
        registers("main", numbers)
        registers("main", numbers, fails)
    if not os.fork():
        child(end % 4)
    os.wait()
    if end % 2:
        atexit._run_exitfuncs()
    else:
        tell("unregisters")
        atexit.unregister(fails)
        tell("unregistered")
"""


@pytest.fixture
def mark(marked: Marked) -> Iterator[str]:
    """A mark for the environment of all that the test starts; take it before `capexit`, which must leave none of it."""
    name = f"MARK_{uuid.uuid4().hex}"
    yield name
    assert marked(name) == []


@pytest.fixture
def started(
    mark: str, marked: Marked, capexit: CapExit, environment: dict[str, str | None], tmp_path: Path
) -> Callable[[int], RunningProgram]:
    """Starts the program with so many threads beside its main one."""

    def start(threads: int) -> RunningProgram:
        path = tmp_path / "killed.py"
        path.write_text(KILLED.replace("THREADS", str(threads)))
        program = capexit.start(path, env={**environment, mark: "1"})
        program.wait_for_output("lives")
        assert program.pid in marked(mark)
        return program

    return start


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_program_killed_at_any_moment_leaves_a_whole_journal(
    seed: int, started: Callable[[int], RunningProgram], journals: dict[int, list[Program]]
) -> None:
    """What the program told of is recorded, in order, at most one step of each thread more, and no process is left."""
    chance = random.Random(seed)
    program = started(chance.randrange(3))
    if chance.random() < 0.3:
        wait_for_a_moment(program, chance)
        kill_a_child(program)
    wait_for_a_moment(program, chance)
    if chance.random() < 0.2:
        program.kill()
    else:  # with its children, at the same moment
        os.killpg(program.pid, signal.SIGKILL)
    result = program.wait(allow_failures=True)
    assert result.returncode == -signal.SIGKILL
    check(journals, result)


def wait_for_a_moment(program: RunningProgram, chance: random.Random) -> None:
    """Let the program go on by some lines of its output, and by something more."""
    lines = program.stdout.count("\n") + chance.randrange(400)
    program.wait_for(lambda: program.stdout.count("\n") > lines)
    for _ in range(chance.randrange(30_000)):
        pass


def kill_a_child(program: RunningProgram) -> None:
    """Kill the newest forked child, if it lives."""
    pid = int([line.split()[0] for line in program.stdout.splitlines() if "lives" in line][-1])
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            if pid != program.pid and os.getsid(pid) == program.pid:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def check(journals: dict[int, list[Program]], result: ExitResult) -> None:
    """Hold the journal of a killed program, and its record, against what the program told."""
    (programs,) = journals.values()
    told: dict[int, list[tuple[str, str]]] = {}
    for line in result.stdout.splitlines():
        pid, step, key = line.split(" ")
        told.setdefault(int(pid), []).append((step, key))
    processes = {process.pid: process for process in family(programs)}
    assert {*told} <= {*processes} == {record.pid for record in (result, *result.children)}
    for process in processes.values():
        process.check(told.get(process.pid, []))


def family(programs: list[Program], inherited: dict[int, str] | None = None) -> Iterator[Process]:
    """Yields the processes that came to write something."""
    for program in programs:
        if program.began:
            process = Process(program, inherited or {})
            yield process
            yield from family([child for _, child in program.forks], process.names)


class Process:
    """What one process recorded.

    Attributes:
        names: keys of its handlers by number, those of its ancestors included.
    """

    def __init__(self, program: Program, inherited: dict[int, str]) -> None:
        assert program.began
        self.pid = program.began.pid
        self._events = program.events
        self._inherited = inherited
        self._own = {event.number: str(event.args[0]) for event in self._of(Registered)}
        self.names = {**inherited, **self._own}

    def _of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self._events if isinstance(event, kind)]

    def check(self, told: list[tuple[str, str]]) -> None:
        """Hold the events against each other, and against the steps that the process told of."""
        assert not self._of(Lost)
        assert all(event.address for event in self._of(Forked))
        self._check_registrations(told)
        self._check_calls([key for step, key in told if step == "runs"])
        assert self._is_told(len(self._of(Unregistered)), told, "unregistered", "unregisters")

    def _is_told(self, count: int, told: list[tuple[str, str]], after: str, before: str, thread: str = "") -> bool:
        """Whether something happened as often as it was told of, or once more: the one that was in flight."""
        steps = [step for step, key in told if key.startswith(thread)]
        return steps.count(after) <= count <= steps.count(before) <= steps.count(after) + 1

    def _check_registrations(self, told: list[tuple[str, str]]) -> None:
        threads = {key.rpartition(".")[0] + "." for key in self._own.values()}
        threads |= {key.rpartition(".")[0] + "." for step, key in told if step.startswith("register")}
        for thread in threads:
            keys = [key for key in self._own.values() if key.startswith(thread)]
            assert keys == [f"{thread}{number}" for number in range(len(keys))]
            assert self._is_told(len(keys), told, "registered", "registers", thread)

    def _check_calls(self, told: list[str]) -> None:
        known, removed, called = {*self._inherited}, set(), []
        running = None
        for event in self._events:
            match event:
                case Registered():
                    known.add(event.number)
                case Unregistered():
                    assert {*event.numbers} <= known
                    removed |= {*event.numbers}
                case Started() if event.number:
                    assert running is None
                    assert event.number in known - removed
                    running = event.number
                    called.append(self.names[running])
                case Ended() if event.number:
                    assert event.number == running
                    running = None
                case Threw():
                    assert running is not None
                    running = None
        assert called[: len(told)] == told
        assert len(called) <= len(told) + 1
