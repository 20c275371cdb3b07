"""What was measured, as facts, and as lines of tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks._measures import Pair
from benchmarks._peers import FIRST, HANDLERS, Compared
from benchmarks._rows import Row

HEADINGS = ("row", "what", "against", "measured", "middle half", "child only", "must", "aim", "how far", "pairs")
SHORT = ("what", "against", "measured", "must", "aim", "how far")
PEER_HEADINGS = ("tool", "each run", f"of `{FIRST}`", "once per session", "handlers ran", "what a test is told")
FEW = 4  # pairs, below which there is no middle half


@dataclass(frozen=True)
class Measured:
    """A row as it was measured, or why it was not.

    Attributes:
        row: its name.
        python: the interpreter's version and path.
        bytecode: False with PYTHONDONTWRITEBYTECODE=1.
        value: the median of all pairs' values; None if it was skipped.
        half: between which two values the middle half of them lies; empty if there were only a few.
        child: the same as `value` without the work of `run` in the pytest process, where that was told apart.
        plain: the median of the plain measurements: seconds, instructions or MiB, a quotient for `growth`.
        pairs: how many there were.
        note: why it was skipped.
    """

    row: str
    python: str
    bytecode: bool
    value: float | None
    half: tuple[float, ...]
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
        half=tuple(quantiles(values)[::2]) if len(values) >= FEW else (),
        child=median(children) if children else None,
        plain=median(pair.plain for pair in pairs) if pairs else None,
        must=row.must,
        aim=row.aim,
        pairs=len(pairs),
        note=note,
    )


def table(rows: Sequence[tuple[Row, Measured]]) -> str:
    """Returns the table of budgets."""
    return markdown([HEADINGS, *(_cells(row, each) for row, each in rows)])


def short_table(rows: Sequence[tuple[Row, Measured]]) -> str:
    """Returns the table of budgets as users want it: without what was measured with PYTHONDONTWRITEBYTECODE=1."""
    shown = [HEADINGS.index(heading) for heading in SHORT]
    lines = [_cells(row, each) for row, each in rows if each.bytecode]
    return markdown([SHORT, *(tuple(line[column] for column in shown) for line in lines)])


def peers_tables(found: Sequence[Compared]) -> str:
    """Returns a table of tools for each program."""
    programs = dict.fromkeys(each.program for each in found)
    return "\n\n".join(
        f"{program[:1].upper()}{program[1:]}:\n\n"
        + markdown([PEER_HEADINGS, *(_peer(each) for each in found if each.program == program)])
        for program in programs
    )


def markdown(cells: Sequence[tuple[str, ...]]) -> str:
    """Returns a table, of which the first line is the head."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]])


def _cells(row: Row, each: Measured) -> tuple[str, ...]:
    sign = "" if row.is_ratio else "+"
    name = row.name if each.bytecode else f"{row.name} (no bytecode)"
    figures = [f"{sign}{value:.3f}" if value is not None else "" for value in (each.value, each.child)]
    half = " to ".join(f"{value:.3f}" for value in each.half)
    limits = [f"{sign}{limit:g}" for limit in (each.must, each.aim)]
    return name, row.what, row.against, figures[0], half, figures[1], *limits, each.verdict, str(each.pairs)


def _peer(each: Compared) -> tuple[str, ...]:
    name = f"{each.peer} {each.version}".strip()
    if each.each is None or each.once is None or each.ratio is None:
        return name, "", "", "", "", each.note
    cost = f"{each.each * 1000:.1f} ms", f"{each.ratio:.2f}", f"{each.once * 1000:.0f} ms"
    return name, *cost, f"{each.handlers:g} of {HANDLERS}", each.told
