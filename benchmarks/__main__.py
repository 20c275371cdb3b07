"""`python -m benchmarks`: measures what recording costs, against budgets and against other tools, and prints tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import _plot
from benchmarks._bench import bench
from benchmarks._measures import Skipped, idle_imports
from benchmarks._peers import PEERS, Compared, compare
from benchmarks._rows import ROWS, Row
from benchmarks._table import Measured, measured, peers_tables, short_table, table

LEGEND = """
measured    the median over all pairs of what `recorded / plain` is in each (for memory: `recorded - plain`, in MiB);
            the two are run in turns, now this one first and now that one, after one of each that doesn't count. Times
            are wall times in this process, from before `run` or `subprocess.run`.
middle half between which two values the middle half of the pairs lies
child only  the same for the child started by the package but read by `communicate`: without the record being read.
            For `matrix`, what 12 plain runs in two threads take of 12 one after the other: what this machine can do
growth      recorded: (t(100,000) - t(0)) / (t(10,000) - t(0)), where t(n) is the time of `run` with n handlers;
            divided by the same quotient of plain runs; each t(n) of a pair is the fastest of several runs
memory      the child's own peak (VmHWM) as its last handler reads it, the journal's pages included
no bytecode with PYTHONDONTWRITEBYTECODE=1 in the environment of both
each run    what a pytest session takes longer for each more test that runs the program; the rest of what it takes
            longer than one with an empty test is `once per session`. Each tool is the only plugin of its sessions."""
MARKS = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
RUNS = 21  # tests in the longer one of two sessions, for each tool
ROUNDS = 3


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Returns what the command line says; without rows and tools, all of them are meant."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    rows, tools = [row.name for row in ROWS], [peer.name for peer in PEERS]
    parser.add_argument("--python", action="append", metavar="EXE", help="interpreter of the programs; repeatable")
    parser.add_argument("--rows", nargs="*", choices=rows, metavar="NAME", help=", ".join(rows))
    parser.add_argument("--tools", nargs="*", choices=tools, metavar="NAME", help=", ".join(map(repr, tools)))
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs for each row, instead of the row's own number")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="rounds of sessions of all tools")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="tests in the longer sessions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to a file, too")
    parser.add_argument("--into", type=Path, metavar="FILE", help=f"put the tables between {' and '.join(MARKS)} of it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="measure and draw a picture (.svg), and nothing else")
    parser.add_argument("--most", type=int, default=max(_plot.COUNTS), metavar="N", help="most handlers in the picture")
    options = parser.parse_args(given)
    if options.rows is None and options.tools is None:
        options.rows, options.tools = rows, tools
    return options


def measure(row: Row, python: str, *, bytecode: bool, pairs: int | None) -> Measured:
    """Measures a row."""
    print(f"\r{row.name} …".ljust(60), end="", file=sys.stderr, flush=True)
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


def conditions(python: str) -> str:
    """Returns a sentence on when and where something was measured."""
    with bench(python, bytecode=True, warm=False) as prepared:
        show = "import platform; print(platform.python_implementation(), platform.python_version())"
        version = prepared.plain(python, "-c", show).stdout.decode().strip()
    cores = len(os.sched_getaffinity(0))
    where = f"pytest {pytest.__version__}, Linux {platform.release().partition('-')[0]} on {cores} cores"
    return f"Measured on {time.strftime('%Y-%m-%d')} with {version}, {where}."


def imported(python: str) -> str:
    """Returns a sentence on what an idle plugin imports."""
    with bench(python, bytecode=True, warm=False) as prepared:
        try:
            names = idle_imports(prepared)
        except Skipped as reason:
            return f"What an idle plugin imports is not known: {reason}."
    return f"An idle plugin imports {len(names)} modules more than `-p no:atexit`: {', '.join(names)}."


def put_into(file: Path, text: str) -> None:
    """Exchange what stands between the marks of a file."""
    begin, end = MARKS
    old = file.read_text(encoding="utf-8")
    new, count = re.subn(rf"(?s)({begin}\n).*?({end})", lambda found: f"{found[1]}{text}\n{found[2]}", old)
    if count != 1:
        raise SystemExit(f"{file} has {count} places between {begin} and {end}, and not one")
    file.write_text(new, encoding="utf-8")


def draw(options: argparse.Namespace) -> None:
    """Measure for the picture, and write it."""
    python = (options.python or [sys.executable])[0]
    diagrams = _plot.measure(python, options.pairs or _plot.ROUNDS, options.most)
    options.plot.write_text(_plot.picture(diagrams, conditions(python)), encoding="utf-8")


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and print tables for each interpreter."""
    options = arguments(given)
    if options.plot:
        draw(options)
        return
    rows = [row for row in ROWS if row.name in (options.rows or ())]
    found: list[Measured] = []
    compared: list[Compared] = []
    written: list[str] = []
    for python in options.python or [sys.executable]:
        lines = [
            (row, measure(row, python, bytecode=bytecode, pairs=options.pairs))
            for row in rows
            for bytecode in (True, False)
        ]
        print("\r".ljust(60), end="\r", file=sys.stderr, flush=True)
        written.append(conditions(python))
        print(written[-1], end="\n\n")
        if lines:
            print(table(lines), end="\n\n", flush=True)  # at once: the tools take longer
            written.append(short_table(lines))
            if any(row.name == "idle" for row in rows):
                written.append(imported(python))
                print(written[-1], end="\n\n")
            found += [each for _, each in lines]
        if options.tools:
            with bench(python, bytecode=True) as prepared:
                tools = compare(prepared, options.tools, options.rounds, options.runs)
            written.append(peers_tables(tools))
            print(written[-1], end="\n\n")
            compared += tools
    print(LEGEND.strip())
    if options.json:
        rows_found = [{**asdict(each), "verdict": each.verdict} for each in found]
        options.json.write_text(json.dumps({"rows": rows_found, "tools": [*map(asdict, compared)]}, indent=1))
    if options.into:
        put_into(options.into, "\n" + "\n\n".join(written) + "\n")


if __name__ == "__main__":
    main()
