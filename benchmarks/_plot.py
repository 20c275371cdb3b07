"""The cost of a run as a picture: against the number of handlers, and against the number of runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import _programs
from benchmarks._bench import Bench, bench, seconds

COUNTS = 1, 10, 100, 1_000, 10_000, 100_000  # handlers
RUNS = 1, 10, 100, 400
ROUNDS = 7
WAYS = "subprocess.run", "run, spawn", "run, fork"
WIDTH, HEIGHT, GAP = 330, 250, 110  # of a diagram, and what is between two
LEFT, TOP = 70, 60
FOOT = 80
LINE = 14  # of text
# Readable on white and on black; who can't tell the colours, tells the shapes of the marks.
COLOURS = "#8a8f98", "#2f81f7", "#d9730d"
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-size: 14px; font-weight: 600 }
.axis { stroke: #57606a } .grid { stroke: #57606a; stroke-opacity: 0.2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .axis, .grid { stroke: #9198a1 } }
"""

Point = tuple[float, float]


@dataclass(frozen=True)
class Diagram:
    """Lines with logarithmic axes.

    Attributes:
        title: what it shows.
        across: what the horizontal axis counts.
        up: what the vertical axis shows, with its unit.
        lines: the points of each way.
    """

    title: str
    across: str
    up: str
    lines: dict[str, list[Point]]


def measure(python: str, rounds: int, most: int) -> list[Diagram]:
    """Measures both diagrams with counts up to `most`."""
    with bench(python, bytecode=True) as prepared:
        handlers = _by_handlers(prepared, rounds, [count for count in COUNTS if count <= most])
    runs = _by_runs(python, max(1, rounds // 2), [count for count in RUNS if count <= most])
    return [
        Diagram("One run, by its handlers", "handlers that the program registers", "milliseconds", handlers),
        Diagram("A session, by its runs", "runs of a program with three handlers", "seconds", runs),
    ]


def _ways(prepared: Bench, path: Path) -> dict[str, Callable[[], object]]:
    actions: list[Callable[[], object]] = [
        lambda: prepared.plain(prepared.python, path),
        lambda: prepared.recorded(path),
        lambda: prepared.recorded(path, launcher="fork"),
    ]
    return dict(zip(WAYS, actions, strict=True))


def _by_handlers(prepared: Bench, rounds: int, counts: list[int]) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {way: [] for way in WAYS}
    for count in counts:
        print(f"\r{count} handlers …".ljust(40), end="", file=sys.stderr, flush=True)
        ways = _ways(prepared, prepared.script(f"plot{count}.py", _programs.MANY.format(count=count)))
        took: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(rounds + 1):
            for way, action in [*ways.items()][:: -1 if number % 2 else 1]:
                took[way].append(seconds(action))
        for way in WAYS:
            lines[way].append((count, median(took[way][1:]) * 1000))  # the first ones warm up
    return lines


def _by_runs(python: str, rounds: int, counts: list[int]) -> dict[str, list[Point]]:
    """Each session is a new one: what is prepared once, such as the fork server, is part of it."""
    lines: dict[str, list[Point]] = {way: [] for way in WAYS}
    for count in counts:
        print(f"\r{count} runs …".ljust(40), end="", file=sys.stderr, flush=True)
        rows = [[seconds(partial(_session, python, way, count)) for way in WAYS] for _ in range(rounds)]
        for way, took in zip(WAYS, zip(*rows, strict=True), strict=True):
            lines[way].append((count, median(took)))
    return lines


def _session(python: str, way: str, count: int) -> None:
    with bench(python, bytecode=True, warm=False) as prepared:
        action = _ways(prepared, prepared.script("three.py", _programs.THREE))[way]
        for _ in range(count):
            action()


def picture(diagrams: list[Diagram], caption: str) -> str:
    """Returns both diagrams as SVG, which looks right on light and on dark pages."""
    width = LEFT + len(diagrams) * (WIDTH + GAP)
    height = TOP + HEIGHT + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="what">',
        f'<title id="what">{"; ".join(diagram.title for diagram in diagrams)}</title>',
        f"<style>{STYLE}</style>",
    ]
    for index, diagram in enumerate(diagrams):
        parts += [f'<g transform="translate({LEFT + index * (WIDTH + GAP)} {TOP})">', *_drawn(diagram), "</g>"]
    return "\n".join([*parts, _text(LEFT, height - 12, caption), "</svg>", ""])


def _drawn(diagram: Diagram) -> Iterable[str]:
    points = [point for line in diagram.lines.values() for point in line]
    across, up = (_Axis([point[number] for point in points]) for number in (0, 1))
    yield _text(0, -30, diagram.title, "title")
    yield _text(0, -12, f"{diagram.up}, logarithmic")
    yield _text(WIDTH / 2, HEIGHT + 42, f"{diagram.across}, logarithmic", anchor="middle")
    for value in across.ticks:
        x = across.share(value) * WIDTH
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"/>'
        yield _text(x, HEIGHT + 20, f"{value:,g}", anchor="middle")
    for value in up.ticks:
        y = HEIGHT - up.share(value) * HEIGHT
        yield f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(-8, y + 4, f"{value:,g}", anchor="end")
    yield f'<path class="axis" fill="none" d="M0 0V{HEIGHT}H{WIDTH}"/>'
    taken: list[float] = []
    for number, (name, line) in enumerate(diagram.lines.items()):
        places = [(across.share(x) * WIDTH, HEIGHT - up.share(y) * HEIGHT) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path fill="none" stroke="{COLOURS[number]}" stroke-width="2" d="M{path}"/>'
        yield from (_mark(number, x, y) for x, y in places)
        y = places[-1][1] + 4
        while any(abs(y - other) < LINE for other in taken):
            y += 2
        taken.append(y)
        yield _text(places[-1][0] + 9, y, name)


def _mark(number: int, x: float, y: float) -> str:
    colour = f'fill="{COLOURS[number]}"'
    if number == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {colour}/>'
    if number == 1:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {colour}/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" {colour}/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    shown = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{shown}</text>'


class _Axis:
    """A logarithmic axis around these values, from one power of ten, or half of it, to another."""

    def __init__(self, values: list[float]) -> None:
        steps = [factor * 10.0**power for power in range(-4, 7) for factor in (1, 2, 5)]
        self.first = max((step for step in steps if step <= min(values)), default=min(values))
        self.last = min((step for step in steps if step >= max(values)), default=max(values))
        self.last = max(self.last, self.first * 10)
        self.ticks = [step for step in steps if self.first <= step <= self.last and self._is_shown(step)]

    def _is_shown(self, step: float) -> bool:
        is_power = math.isclose(math.log10(step), round(math.log10(step)), abs_tol=1e-9)
        return is_power or step in (self.first, self.last)

    def share(self, value: float) -> float:
        """Returns where a value stands, from 0 to 1."""
        return math.log(value / self.first) / math.log(self.last / self.first)
