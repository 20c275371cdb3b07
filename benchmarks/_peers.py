"""The same program run from a pytest suite by what else a user would pick, each in pytest sessions of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import _programs
from benchmarks._bench import Bench, seconds

HANDLERS = 3  # of each program
FIRST = "subprocess.run"  # what the others are compared with
HEAD = """
import subprocess, sys
from pathlib import Path
import pytest
PROGRAM = Path({program!r})
"""
TEST = """
{mark}
@pytest.mark.parametrize("number", range({runs}))
def test_program(number{fixture}):
    {body}
"""
IN_TEST = "import runpy; runpy.run_path(str(PROGRAM), run_name='__main__')"
BY_EXIT_STATUS = "exit status (-15 for SIGTERM) and output; of handlers nothing"


@dataclass(frozen=True)
class Peer:
    """A way to run a program from a test.

    Attributes:
        name: as users know it.
        told: what a test is told about the program's end and its handlers.
        body: of the test.
        fixture: which it uses.
        mark: a decorator of it.
        package: which must be installed; empty for none.
        options: pytest's.
        forks: the test itself is forked from pytest, where Flask may have been imported already.
        preload: an option for programs that use Flask.
    """

    name: str
    told: str
    body: str
    fixture: str = ""
    mark: str = ""
    package: str = ""
    options: tuple[str, ...] = ()
    forks: bool = False
    preload: tuple[str, ...] = ()

    def test_file(self, program: Path, runs: int, *, flask: bool) -> str:
        """Returns the text of the test file."""
        head = HEAD.format(program=str(program)) + ("import flask\n" if flask and self.forks else "")
        fixture = f", {self.fixture}" if self.fixture else ""
        return head + TEST.format(mark=self.mark, runs=runs, fixture=fixture, body=self.body)


ORDER = ".assert_order('close_database', 'flush_telemetry', 'stop_scheduler')"
OURS = "each handler with its order, arguments, time and exception, in each process; why one did not run"
NOTHING = Peer("", "", "pass")
PEERS = [
    Peer(FIRST, BY_EXIT_STATUS,
         "assert not subprocess.run([sys.executable, PROGRAM], capture_output=True, check=False).returncode"),
    Peer("pytest-atexit, spawn", OURS, f"capexit.run(PROGRAM, launcher='spawn'){ORDER}", "capexit",
         package="pytest-atexit", options=("-ppytest_atexit.plugin",)),
    Peer("pytest-atexit, fork", OURS, f"capexit.run(PROGRAM, launcher='fork'){ORDER}", "capexit",
         package="pytest-atexit", options=("-ppytest_atexit.plugin",), preload=("--atexit-preload=flask",)),
    Peer("pytester.runpython", BY_EXIT_STATUS, "assert pytester.runpython(PROGRAM).ret == 0", "pytester",
         options=("-ppytester",)),
    Peer("pytest-console-scripts", BY_EXIT_STATUS, "assert script_runner.run([str(PROGRAM)]).success", "script_runner",
         package="pytest-console-scripts",
         options=("-ppytest_console_scripts", "--script-launch-mode=subprocess")),
    Peer("pytest-insubprocess", "the test's outcome; one that a signal ends is not reported at all", IN_TEST,
         package="pytest-insubprocess", options=("-ppytest_insubprocess", "--insubprocess")),
    Peer("pytest-subproc", "the test's outcome: SIGTERM fails it, “exit code -15”", IN_TEST,
         mark="@pytest.mark.subproc", package="pytest-subproc", options=("-ppytest_subproc",)),
    Peer("pytest-isolated", "the test's outcome: SIGTERM fails it, “crashed with signal 15”",
         IN_TEST, mark="@pytest.mark.isolated", package="pytest-isolated", options=("-ppytest_isolated.plugin",)),
    Peer("pytest-forked", "the test's outcome: SIGTERM fails it, “CRASHED with signal 15”", IN_TEST,
         package="pytest-forked", options=("-ppytest_forked", "--forked"), forks=True),
    Peer("pytest-isolate", "the test's outcome: SIGTERM fails it, “Crashed with exit code -15”", IN_TEST,
         package="pytest-isolate", options=("-ppytest_isolate.plugin", "--isolate"), forks=True),
]  # fmt: skip
PROGRAMS = {"three handlers": _programs.TRACE, "Flask, three handlers": _programs.FLASK_WITH_TRACE}


@dataclass(frozen=True)
class Compared:
    """A peer as it was measured, or why it was not.

    Attributes:
        peer: its name.
        version: of its package.
        program: which was run.
        told: what a test is told.
        each: seconds for each run: what a session takes longer for each more of them.
        once: seconds for each session, in which the tool is loaded and prepared.
        ratio: of `each` to that of `subprocess.run` in the same round.
        handlers: how many handlers ran for each run.
        note: why it was not measured.
    """

    peer: str
    version: str
    program: str
    told: str
    each: float | None
    once: float | None
    ratio: float | None
    handlers: float
    note: str = ""


class Failed(Exception):
    """A session did not pass; says why."""


class Suite:
    """Sessions of pytest, each with one plugin only, in which every test runs a program.

    Args:
        bench: the interpreter.
        runs: tests in a long session; a short one has one.
        flask: whether the program uses Flask.
        program: its text.
    """

    def __init__(self, bench: Bench, runs: int, program: str, *, flask: bool) -> None:
        self._bench, self._runs, self._flask = bench, runs, flask
        self._folder = bench.folder / f"peers{'-flask' if flask else ''}"
        self._folder.mkdir()
        (self._folder / "pytest.ini").write_text("[pytest]\n")
        self._program = self._folder / "program.py"
        self._program.write_text(program)
        self._trace = self._folder / "trace"
        show = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        installed: dict[str, str] = json.loads(bench.plain(bench.python, "-c", show).stdout)
        self.versions = {name.lower().replace("_", "-"): version for name, version in installed.items()}

    def sessions(self, peer: Peer) -> tuple[float, float]:
        """Returns how many seconds a short session takes, and a long one.

        Raises:
            Failed: a test did not pass.
        """
        if peer.package and peer.package not in self.versions:
            raise Failed("not installed")
        return self._session(peer, 1), self._session(peer, self._runs)

    def _session(self, peer: Peer, runs: int) -> float:
        file = self._folder / f"test_{''.join(filter(str.isalnum, peer.name))}_{runs}.py"
        if not file.exists():
            file.write_text(peer.test_file(self._program, runs, flask=self._flask))
        options = [*peer.options, *(peer.preload if self._flask else ())]
        command = [self._bench.python, "-m", "pytest", "-q", "-pno:cacheprovider", *options, file.name]
        self._trace.write_text("")
        env = {**self._bench.environment, "BENCHMARK_TRACE": str(self._trace), "COLUMNS": "200"}
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        done: list[subprocess.CompletedProcess[str]] = []

        def run() -> None:
            done.append(subprocess.run(command, cwd=self._folder, env=env, capture_output=True, text=True, check=False))

        took = seconds(run)
        if done[0].returncode or f"{runs} passed" not in done[0].stdout:
            raise Failed(_reason(done[0]))
        return took

    def handlers(self) -> float:
        """Returns how many handlers ran for each run of the last sessions."""
        return len(self._trace.read_text().splitlines()) / self._runs


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("E  ", "FAILED", "ERROR"))] or lines[-1:] or [""]
    text = re.sub(r"^(E +|FAILED \S+ - |\S+:\d+: )*", "", telling[0])
    return f"does not work: {text}"


def compare(bench: Bench, names: list[str], rounds: int, runs: int) -> list[Compared]:
    """Measures peers in turns, for each program; `subprocess.run` is among them."""
    found = []
    for title, program in PROGRAMS.items():
        flask = "flask" in program
        suite = Suite(bench, runs, program, flask=flask)
        if flask and "flask" not in suite.versions:
            continue
        found += _compared(suite, title, [peer for peer in PEERS if peer.name in (FIRST, *names)], rounds, runs)
    return found


def _compared(suite: Suite, title: str, peers: list[Peer], rounds: int, runs: int) -> list[Compared]:
    notes: dict[str, str] = {}
    handlers: dict[str, float] = {}
    for peer in (NOTHING, *peers):  # to warm up, and to see what works
        print(f"\r{title}: {peer.name} …".ljust(60), end="", file=sys.stderr, flush=True)
        try:
            suite.sessions(peer)
            handlers[peer.name] = suite.handlers()
        except Failed as why:
            notes[peer.name] = str(why)
    working = [NOTHING, *(peer for peer in peers if peer.name not in notes)]
    shorts: dict[str, list[float]] = {peer.name: [] for peer in working}
    each: dict[str, list[float]] = {peer.name: [] for peer in working}
    for number in range(rounds):
        print(f"\r{title}: round {number + 1} of {rounds} …".ljust(60), end="", file=sys.stderr, flush=True)
        for peer in (working, working[::-1])[number % 2]:
            short, long = suite.sessions(peer)
            shorts[peer.name].append(short)
            each[peer.name].append((long - short) / (runs - 1))
    print("\r".ljust(60), end="\r", file=sys.stderr, flush=True)
    return [
        Compared(
            peer=peer.name,
            version=suite.versions.get(peer.package, ""),
            program=title,
            told=peer.told,
            each=median(each[peer.name]) if peer in working else None,
            once=median(map(_once, shorts[peer.name], each[peer.name], shorts[""])) if peer in working else None,
            ratio=median(map(_quotient, each[peer.name], each[FIRST])) if peer in working else None,
            handlers=handlers.get(peer.name, 0),
            note=notes.get(peer.name, ""),
        )
        for peer in peers
    ]


def _quotient(each: float, first: float) -> float:
    return each / first


def _once(short: float, each: float, nothing: float) -> float:
    """What is left of a session with one run, without that run and without pytest's own time."""
    return max(0.0, short - each - nothing)
