"""`python -m benchmarks`: measures what recording costs and prints the table of budgets."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks._bench import bench
from benchmarks._rows import ROWS, Row, Skipped
from benchmarks._table import Measured, measured, table

LEGEND = """
measured    the median over all pairs of what `recorded / plain` is in each (for memory: `recorded - plain`, in MiB);
            the two are run in turns. Times are wall times in this process, from before `run` or `subprocess.run`.
child only  the same for the child started by the package but read by `communicate`: without the record being read
growth      recorded: (t(100,000) - t(0)) / (t(10,000) - t(0)), where t(n) is the time of `run` with n handlers;
            divided by the same quotient of plain runs; each t(n) of a pair is the fastest of several runs
memory      the child's own peak (VmHWM) as its last handler reads it, the journal's pages included
no bytecode with PYTHONDONTWRITEBYTECODE=1 in the environment of both"""


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Returns what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--python", action="append", metavar="EXE", help="interpreter of the programs; repeatable")
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs for each row, instead of the row's own number")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to a file, too")
    return parser.parse_args(given)


def measure(row: Row, python: str, *, bytecode: bool, pairs: int | None) -> Measured:
    """Measures a row."""
    with bench(python, bytecode=bytecode) as prepared:
        show = (
            "import platform, sys; print(platform.python_implementation(), platform.python_version(), sys.executable)"
        )
        name = prepared.plain(python, "-c", show).stdout.decode().strip()
        try:
            sample = row.prepare(prepared)
            found = [sample() for _ in range(pairs or row.pairs)]
        except Skipped as reason:
            return measured(row, name, bytecode=bytecode, pairs=[], note=str(reason))
        return measured(row, name, bytecode=bytecode, pairs=found)


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and print a table for each interpreter."""
    options = arguments(given)
    rows = [row for row in ROWS if row.name in options.rows]
    found: list[Measured] = []
    for python in options.python or [sys.executable]:
        lines = []
        for row in rows:
            for bytecode in (True, False):
                print(f"\r{row.name} …".ljust(40), end="", file=sys.stderr, flush=True)
                lines.append((row, measure(row, python, bytecode=bytecode, pairs=options.pairs)))
        print("\r".ljust(40), end="\r", file=sys.stderr, flush=True)
        found += [each for _, each in lines]
        print(f"{lines[0][1].python}, called from {platform.python_version()}\n\n{table(lines)}\n")
    print(LEGEND.strip())
    if options.json:
        options.json.write_text(json.dumps([{**asdict(each), "verdict": each.verdict} for each in found], indent=1))


if __name__ == "__main__":
    main()
