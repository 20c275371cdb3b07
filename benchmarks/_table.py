"""What was measured, as facts, and as lines of a table."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks._rows import Pair, Row

HEADINGS = ("row", "what", "against", "measured", "child only", "must", "aim", "verdict", "pairs")


@dataclass(frozen=True)
class Measured:
    """A row as it was measured, or why it was not.

    Attributes:
        row: its name.
        python: the interpreter's version and path.
        bytecode: False with PYTHONDONTWRITEBYTECODE=1.
        value: the median of all pairs' values; None if it was skipped.
        child: the same without the work of `run` in the pytest process, where that was told apart.
        plain: the median of the plain measurements: seconds, instructions or MiB, a quotient for `growth`.
        pairs: how many there were.
        note: why it was skipped.
    """

    row: str
    python: str
    bytecode: bool
    value: float | None
    child: float | None
    plain: float | None
    must: float
    aim: float
    pairs: int
    note: str = ""

    @property
    def verdict(self) -> str:
        """How the value stands to must and aim."""
        if self.value is None:
            return f"skipped: {self.note}"
        if self.value > self.must:
            return f"above the must by {self.value - self.must:.3f}"
        return "ok" if self.value <= self.aim else f"ok, above the aim by {self.value - self.aim:.3f}"


def measured(row: Row, python: str, *, bytecode: bool, pairs: list[Pair], note: str = "") -> Measured:
    """Returns what the pairs of a row say."""
    values = [row.value(pair.plain, pair.recorded) for pair in pairs]
    children = [row.value(pair.plain, pair.child) for pair in pairs if pair.child is not None]
    return Measured(
        row=row.name,
        python=python,
        bytecode=bytecode,
        value=median(values) if values else None,
        child=median(children) if children else None,
        plain=median(pair.plain for pair in pairs) if pairs else None,
        must=row.must,
        aim=row.aim,
        pairs=len(pairs),
        note=note,
    )


def table(rows: list[tuple[Row, Measured]]) -> str:
    """Returns a table in Markdown."""
    cells = [HEADINGS, *(_cells(row, each) for row, each in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]])


def _cells(row: Row, each: Measured) -> tuple[str, ...]:
    sign = "" if row.is_ratio else "+"
    name = row.name if each.bytecode else f"{row.name} (no bytecode)"
    figures = [f"{sign}{value:.3f}" if value is not None else "" for value in (each.value, each.child)]
    limits = [f"{sign}{limit:g}" for limit in (each.must, each.aim)]
    return name, row.what, row.against, *figures, *limits, each.verdict, str(each.pairs)
