"""The rows of the table: what each one measures, and its budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import _measures
from benchmarks._bench import Bench
from benchmarks._measures import Sample
from benchmarks._programs import EMPTY, FLASK_WITH_THREE, MANY, THREE

PLAIN = "`subprocess.run`"


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


# fmt: off
ROWS = [
    Row("instructions", "instructions of an empty child", "the plain program", 1.06, 1.04, 3,
        partial(_measures.instructions, EMPTY, 0)),
    Row("instructions-3", "instructions of a child with three handlers", "the plain program", 1.06, 1.04, 3,
        partial(_measures.instructions, THREE, 3)),
    Row("spawn", "`run`, spawn, empty program", PLAIN, 1.10, 1.05, 60, partial(_measures.spawn, EMPTY, 0)),
    Row("fork", "`run`, fork, empty program", PLAIN, 0.45, 0.35, 60, partial(_measures.fork, EMPTY, 0, ())),
    Row("flask", "`run`, fork, Flask app with `preload`", PLAIN, 0.12, 0.08, 20,
        partial(_measures.fork, FLASK_WITH_THREE, 3, ("flask",))),
    Row("handlers", "`run`, 10,000 handlers", PLAIN, 8, 4, 15,
        partial(_measures.spawn, MANY.format(count=10_000), 10_000)),
    Row("growth", "growth from 10,000 to 100,000 handlers", "the plain program's", 1.1, 1.0, 3, _measures.growth),
    Row("idle", "`pytest`, 200 tests that don't use the plugin", "`-p no:atexit`", 1.02, 1.01, 40, _measures.idle),
    Row("matrix", "`matrix` of 12 endings, spawn", "12 `run`s", 0.6, 0.55, 12, partial(_measures.matrix, "spawn")),
    Row("matrix-fork", "`matrix` of 12 endings, fork", "12 `run`s", 0.6, 0.55, 20, partial(_measures.matrix, "fork")),
    Row("memory", "peak memory of a child with a handler, MiB", "the plain child", 4, 1, 5,
        partial(_measures.memory, 0), is_ratio=False),
    Row("memory-10000", "peak memory of a child with 10,000 handlers, MiB", "the plain child", 4, 1, 5,
        partial(_measures.memory, 10_000), is_ratio=False),
]
# fmt: on
