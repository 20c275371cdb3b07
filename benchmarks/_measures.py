"""How the pairs of a row are measured: each function prepares what it needs, and returns what measures one pair."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count as counter
from pathlib import Path

from benchmarks import _programs
from benchmarks._bench import Bench, seconds
from pytest_atexit import Ending

FILES = 10  # of the idle suite
KIB = 1024  # in a MiB
CORES = 2  # that the matrix needs
# All but those that need another module, or another program, to come about.
ENDINGS = [ending for ending in Ending if ending not in (Ending.FATAL_ERROR, Ending.EXEC)]


class Skipped(Exception):
    """A row that can't be measured here; says why."""


@dataclass(frozen=True)
class Pair:
    """What was measured side by side.

    Attributes:
        plain: without us.
        recorded: with us.
        child: likewise, without the work of `run` in the pytest process; for the matrix, what it took if it gained
            as much by running in parallel as plain runs do; None where that isn't told apart.
    """

    plain: float
    recorded: float
    child: float | None = None


Sample = Callable[[], Pair]


def in_turns(*actions: Callable[[], object]) -> Callable[[], list[float]]:
    """Returns what times all of them once, each time beginning with another one; runs them once to warm up."""
    rounds = counter()
    for action in actions:
        action()

    def times() -> list[float]:
        first = next(rounds) % len(actions)
        order = [*range(first, len(actions)), *range(first)]
        found = {index: seconds(actions[index]) for index in order}
        return [found[index] for index in range(len(actions))]

    return times


def instructions(text: str, handlers: int, bench: Bench) -> Sample:
    """Counts by callgrind, which repeats to about a thousandth; the seed of hashes is fixed for that."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Skipped("valgrind is not installed")
    log, seed = bench.folder / "callgrind.log", {"PYTHONHASHSEED": "0"}
    options = ["--tool=callgrind", "--trace-children=no", "--callgrind-out-file=/dev/null", f"--log-file={log}"]
    command = [valgrind, *options, bench.python, str(bench.script(f"counted{handlers}.py", text))]

    def collected() -> int:
        found = re.search(r"Collected : (\d+)", log.read_text())
        if not found:
            raise SystemExit(f"valgrind failed:\n{log.read_text()}")
        return int(found[1])

    def sample() -> Pair:
        bench.plain("env", "PYTHONHASHSEED=0", *command)
        plain = collected()
        result = bench.recorded([*command], env=seed)
        assert len(result.ran) == handlers, result
        return Pair(plain, collected())

    return sample


def spawn(text: str, handlers: int, bench: Bench) -> Sample:
    """Times `run`, the same child without `run`, and a plain run, of one program."""
    path = bench.script(f"spawn{handlers}.py", text)
    assert len(bench.recorded(path).ran) == handlers
    times = in_turns(lambda: bench.plain(bench.python, path), lambda: bench.recorded(path), lambda: bench.child(path))
    return lambda: Pair(*times())


def fork(text: str, handlers: int, preload: tuple[str, ...], bench: Bench) -> Sample:
    """Times `run` by a fork server, which has been started before, and a plain run, of one program."""
    if bench.implementation != "cpython":
        raise Skipped(f"the fork server is CPython's, not {bench.implementation}'s")
    for module in preload:
        bench.require(module, Skipped)
    path = bench.script(f"fork{handlers}{''.join(preload)}.py", text)
    capexit = bench.preloaded(preload)
    assert len(bench.recorded(path, launcher="fork", capexit=capexit).ran) == handlers
    times = in_turns(
        lambda: bench.plain(bench.python, path),
        lambda: bench.recorded(path, launcher="fork", capexit=capexit),
    )
    return lambda: Pair(*times())


def matrix(launcher: str, bench: Bench) -> Sample:
    """Times a matrix and the same runs one after the other, all of a program with three handlers."""
    if len(os.sched_getaffinity(0)) < CORES:
        raise Skipped(f"a matrix needs {CORES} cores to run programs in parallel")
    if launcher == "fork" and bench.implementation != "cpython":
        raise Skipped(f"the fork server is CPython's, not {bench.implementation}'s")
    path = bench.script("matrix.py", _programs.THREE)
    assert len(ENDINGS) == 12

    def one_by_one() -> None:
        for ending in ENDINGS:
            bench.recorded(path, launcher=launcher, ending=ending)

    def together() -> None:
        assert len(bench.matrix(path, launcher, ENDINGS)) == len(ENDINGS)

    def plain(_: object) -> None:
        bench.plain(bench.python, path)

    def plain_together() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(plain, ENDINGS))

    times = in_turns(one_by_one, together, lambda: [*map(plain, ENDINGS)], plain_together)

    def sample() -> Pair:
        ours, parallel, theirs, theirs_parallel = times()
        return Pair(ours, parallel, ours * theirs_parallel / theirs)

    return sample


def growth(bench: Bench) -> Sample:
    """Each figure is (t(100,000) - t(0)) / (t(10,000) - t(0)), which is 10 where time grows in proportion.

    Each t(n) is the fastest of several runs: 10,000 plain registrations take a tenth of the program's start.
    """
    counts = 0, 10_000, 100_000
    paths = [bench.script(f"growth{count}.py", _programs.MANY.format(count=count)) for count in counts]

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
    path = bench.script(f"peak{count}.py", _programs.PEAK.format(count=count))

    def sample() -> Pair:
        plain = bench.plain(bench.python, path).stdout
        return Pair(int(plain) / KIB, int(bench.recorded(path).stdout) / KIB)

    return sample


def idle(bench: Bench) -> Sample:
    """A whole `pytest` on a suite of 200 small tests that doesn't use the plugin, with it and without.

    Other plugins are left out: what they cost would make our share of the whole look smaller.
    """
    command = [bench.python, "-m", "pytest", *_idle_arguments(bench)]
    times = in_turns(lambda: bench.plain(*command, "-pno:atexit"), lambda: bench.plain(*command))
    return lambda: Pair(*times())


def idle_imports(bench: Bench) -> list[str]:
    """Returns the names of the modules that such a session has imported with the plugin only."""
    found = bench.folder / "modules"
    code = "import sys, pytest; pytest.main(sys.argv[2:]); open(sys.argv[1], 'w').write(' '.join(sys.modules))"

    def modules(*options: str) -> set[str]:
        bench.plain(bench.python, "-c", code, found, *_idle_arguments(bench), *options)
        return {*found.read_text().split()}

    return sorted(modules() - modules("-pno:atexit"))


def _idle_arguments(bench: Bench) -> list[str]:
    """Returns the arguments of pytest for the idle suite, which is written if it isn't there."""
    suite = bench.folder / "suite"
    suite.mkdir(exist_ok=True)
    (suite / "pytest.ini").write_text("[pytest]\n")
    for number in range(FILES):
        (suite / f"test_{number}.py").write_text(_programs.TESTS)
    show = "import importlib.metadata as m; print(*(e.name for e in m.entry_points(group='pytest11')))"
    plugins = bench.plain(bench.python, "-c", show).stdout.decode().split()
    if "atexit" not in plugins:
        raise Skipped(f"pytest-atexit is not installed for {bench.python}")
    return ["-q", *(f"-pno:{name}" for name in ["cacheprovider", *plugins] if name != "atexit"), str(suite)]
