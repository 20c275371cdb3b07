"""The rows of the table: what each one measures, by which pairs of runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks._bench import Bench, seconds

EMPTY = ""
THREE = """
import atexit
def stop_scheduler(): pass
def flush_telemetry(): pass
def close_database(): pass
for handler in stop_scheduler, flush_telemetry, close_database:
    atexit.register(handler)
"""
MANY = """
import atexit
def handler(): pass
for _ in range({count}):
    atexit.register(handler)
"""
# Not `ru_maxrss`: it counts what the parent used before the exec, too.
PEAK = """
import atexit
def peak():
    with open("/proc/self/status") as status:
        print(*(line.split()[1] for line in status if line.startswith("VmHWM")))
atexit.register(peak)
def handler(): pass
for _ in range({count}):
    atexit.register(handler)
"""
SUITE = """
import pytest
@pytest.mark.parametrize("number", range(20))
def test_number(number):
    assert number < 20
"""
FILES = 10  # of that suite
KIB = 1024  # in a MiB


class Skipped(Exception):
    """A row that can't be measured here; says why."""


@dataclass(frozen=True)
class Pair:
    """What was measured side by side.

    Attributes:
        plain: without us.
        recorded: with us.
        child: likewise, without the work of `run` in the pytest process; None where that isn't told apart.
    """

    plain: float
    recorded: float
    child: float | None = None


Sample = Callable[[], Pair]


@dataclass(frozen=True)
class Row:
    """A budget, and how to measure what it costs.

    Attributes:
        name: for `--rows`.
        what: what is measured.
        against: what it is compared with.
        must: the most that is accepted: a ratio, or MiB more.
        aim: what we would like.
        pairs: how many pairs are measured by default.
        prepare: returns what measures one pair; raises Skipped.
        is_ratio: whether `recorded / plain` counts, or the difference.
    """

    name: str
    what: str
    against: str
    must: float
    aim: float
    pairs: int
    prepare: Callable[[Bench], Sample]
    is_ratio: bool = True

    def value(self, plain: float, other: float) -> float:
        """What a pair says."""
        return other / plain if self.is_ratio else other - plain


def instructions(bench: Bench) -> Sample:
    """Counts by callgrind, which repeats to about a thousandth; the seed of hashes is fixed for that."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Skipped("valgrind is not installed")
    log, seed = bench.folder / "callgrind.log", {"PYTHONHASHSEED": "0"}
    options = ["--tool=callgrind", "--trace-children=no", "--callgrind-out-file=/dev/null", f"--log-file={log}"]
    command = [valgrind, *options, bench.python, str(bench.script("three.py", THREE))]

    def collected() -> int:
        found = re.search(r"Collected : (\d+)", log.read_text())
        if not found:
            raise SystemExit(f"valgrind failed:\n{log.read_text()}")
        return int(found[1])

    def sample() -> Pair:
        bench.plain("env", "PYTHONHASHSEED=0", *command)
        plain = collected()
        result = bench.recorded([*command], env=seed)
        assert len(result.ran) == 3, result
        return Pair(plain, collected())

    return sample


def wall(text: str, handlers: int, bench: Bench) -> Sample:
    """Times `run`, the same child without `run`, and a plain run, of one program."""
    path = bench.script(f"wall{handlers}.py", text)

    def sample() -> Pair:
        plain = seconds(lambda: bench.plain(bench.python, path))
        recorded = seconds(lambda: bench.recorded(path))
        return Pair(plain, recorded, seconds(lambda: bench.child(path)))

    assert len(bench.recorded(path).ran) == handlers
    return sample


def growth(bench: Bench) -> Sample:
    """Each figure is (t(100,000) - t(0)) / (t(10,000) - t(0)), which is 10 where time grows in proportion.

    Each t(n) is the fastest of several runs: 10,000 plain registrations take a tenth of the program's start.
    """
    paths = [bench.script(f"growth{count}.py", MANY.format(count=count)) for count in (0, 10_000, 100_000)]

    def quotient(action: Callable[[Path], object], runs: int) -> float:
        rounds: list[list[float]] = [[seconds(partial(action, path)) for path in paths] for _ in range(runs)]
        none, some, many = (min(times[index] for times in rounds) for index in range(len(paths)))
        if not none < some < many:
            raise Skipped("the machine is too busy: more handlers did not take longer")
        return (many - none) / (some - none)

    def sample() -> Pair:
        plain = quotient(lambda path: bench.plain(bench.python, path), 25)
        return Pair(plain, quotient(bench.recorded, 3), quotient(bench.child, 3))

    return sample


def memory(count: int, bench: Bench) -> Sample:
    """The child tells its own peak (VmHWM), in MiB, from the last handler to run."""
    path = bench.script(f"peak{count}.py", PEAK.format(count=count))

    def sample() -> Pair:
        plain = bench.plain(bench.python, path).stdout
        return Pair(int(plain) / KIB, int(bench.recorded(path).stdout) / KIB)

    return sample


def idle(bench: Bench) -> Sample:
    """A whole `pytest` on a suite of 200 small tests that doesn't use the plugin, with it and without."""
    suite = bench.folder / "suite"
    suite.mkdir()
    (suite / "pytest.ini").write_text("[pytest]\n")
    for number in range(FILES):
        (suite / f"test_{number}.py").write_text(SUITE)
    command = [bench.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite]
    plugins = "import importlib.metadata as m; print([e.name for e in m.entry_points(group='pytest11')])"
    if b"'atexit'" not in bench.plain(bench.python, "-c", plugins).stdout:
        raise Skipped(f"pytest-atexit is not installed for {bench.python}")

    def sample() -> Pair:
        without = seconds(lambda: bench.plain(*command, "-p", "no:atexit"))
        return Pair(without, seconds(lambda: bench.plain(*command)))

    sample()  # pytest writes the bytecode of its rewritten tests
    return sample


ROWS = [
    Row(
        "instructions", "instructions of a child with three handlers", "the plain program", 1.06, 1.04, 3, instructions
    ),
    Row("spawn", "`run`, empty program, wall", "`subprocess.run`", 1.10, 1.05, 60, partial(wall, EMPTY, 0)),
    Row(
        "handlers",
        "`run`, 10,000 handlers, wall",
        "`subprocess.run`",
        8,
        4,
        15,
        partial(wall, MANY.format(count=10_000), 10_000),
    ),
    Row("growth", "growth from 10,000 to 100,000 handlers", "the plain program's", 1.1, 1.0, 3, growth),
    Row(
        "memory",
        "peak memory of a child with a handler, MiB",
        "the plain child",
        4,
        1,
        5,
        partial(memory, 0),
        is_ratio=False,
    ),
    Row(
        "memory-10000",
        "peak memory of a child with 10,000 handlers, MiB",
        "the plain child",
        4,
        1,
        5,
        partial(memory, 10_000),
        is_ratio=False,
    ),
    Row("idle", "`pytest`, 200 tests that don't use the plugin", "`-p no:atexit`", 1.02, 1.01, 20, idle),
]
