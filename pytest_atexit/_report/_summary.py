"""The summary of all runs of a session: pure functions from facts to lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pytest_atexit._ending import Ending
from pytest_atexit._errors import printable
from pytest_atexit._explain import plural, times
from pytest_atexit._report._facts import HandlerFacts, ProcessFacts, RunFacts

SHOWN = 5  # entries of each part, unless all are wanted
CALLING = (Ending.RETURN, Ending.SYS_EXIT, Ending.EXCEPTION)  # Python calls handlers then: these came too late, say
COUNTED = ("ran", "failed", "unfinished", "skipped")


class Line(NamedTuple):
    """A line, and what pytest's terminal writer shall make of it."""

    text: str
    markup: dict[str, bool]


class Problem(NamedTuple):
    """A handler, or other work at exit, that did not do what it was there for."""

    run: RunFacts
    process: ProcessFacts
    handler: HandlerFacts


def totals(runs: Iterable[RunFacts]) -> dict[str, int]:
    """Returns how many handlers ran, failed, didn't finish and were skipped in all processes."""
    counts: Counter[str] = Counter()
    for run in runs:
        for process in run["processes"]:
            counts.update({name: process["counts"][name] for name in COUNTED})  # type: ignore[literal-required]  # its keys
    return {name: counts[name] for name in COUNTED}


def headline(runs: Sequence[RunFacts]) -> str:
    """Returns "7 runs: 12 handlers ran, 1 failed, 2 skipped", and what else there was."""
    count = totals(runs)
    parts = [f"{plural(count['ran'], 'handler')} ran"]
    parts += [f"{count[name]} {name}" for name in COUNTED[1:] if count[name]]
    for state in ("not recorded", "running"):
        number = sum(run["state"] == state for run in runs)
        parts += [f"{plural(number, 'program')} {state}"] if number else []
    return f"{plural(len(runs), 'run')}: {', '.join(parts)}"


def problems(runs: Iterable[RunFacts], state: str) -> Iterator[Problem]:
    """Yields what failed, was unfinished or skipped; handlers of the standard library itself only where they failed."""
    for run in runs:
        for process in run["processes"]:
            for handler in process["handlers" if state == "skipped" else "timeline"]:
                if handler["state"] == state and (handler["named"] or state == "failed"):
                    yield Problem(run, process, handler)


def cause_of(problem: Problem) -> str:
    """Returns in a few words what kept a handler from running, or from its end, such as "by SIGKILL"."""
    run, process = problem.run, problem.process
    is_main = process is run["processes"][0]
    if is_main and run["killed_after_grace"]:
        return "by SIGKILL after a grace"
    if is_main and run["ending"]:
        return ("though the program ended by " if run["ending"] in CALLING else "by ") + run["ending"]
    status = run["status"] if is_main else process["status"]
    whose = "a program" if is_main else f"a child ({process['role']})"
    if status is None:
        return f"in {whose} whose end isn't known"
    if status["signal"]:
        return f"by {status['signal']}" + ("" if is_main else f" in {whose}")
    return f"in {whose} that ended with {status['text']}"


def summary(runs: Sequence[RunFacts], *, everything: bool) -> list[Line]:
    """Returns the lines below the section's title.

    Args:
        runs: at least one.
        everything: all entries, with reasons, and the slowest shutdowns of more tests.
    """
    shown = 10 * SHOWN if everything else SHOWN
    count = totals(runs)
    bad = bool(count["failed"] or count["unfinished"])
    lines = [Line(headline(runs), {"yellow": True} if bad else {"green": True})]
    lines += _listed(runs, "failed", everything=everything)
    lines += _listed(runs, "unfinished", everything=everything)
    lines += _skipped(runs, everything=everything)
    lines += _running(runs, everything=everything)
    slowest: dict[str, float] = {}
    for run in sorted(runs, key=_shutdown, reverse=True):
        slowest.setdefault(_test(run), _shutdown(run))
    slow = [Line(f"  {seconds:.3f} s  {test}", {}) for test, seconds in slowest.items() if seconds]
    if slow:
        lines += [Line("slowest shutdowns:", {"bold": True}), *slow[:shown]]
    return [line._replace(text=printable(line.text)) for line in lines]


def _listed(runs: Sequence[RunFacts], state: str, *, everything: bool) -> list[Line]:
    rows = []
    for problem in problems(runs, state):
        handler, error = problem.handler, problem.handler["exception"]
        why = f": {error['type']}: {error['message']}".rstrip(": ") if error else f" ({cause_of(problem)})"
        site = f"  {handler['where']}" if everything and handler["where"] else ""
        rows.append(f"  {handler['name']}{_first_line(why)}{site}  {_test(problem.run)}")
    counted = [f"{row} ({times(count)})" if count > 1 else row for row, count in Counter(rows).items()]
    return _cut(state, counted, everything=everything)


def _skipped(runs: Sequence[RunFacts], *, everything: bool) -> list[Line]:
    """By cause, the most frequent one first, and by test."""
    causes: dict[str, dict[str, list[Problem]]] = defaultdict(lambda: defaultdict(list))
    for problem in problems(runs, "skipped"):
        causes[cause_of(problem)][_test(problem.run)].append(problem)
    lines = []
    for cause, tests in sorted(causes.items(), key=lambda item: (-sum(map(len, item[1].values())), item[0])):
        rows = []
        for test, found in tests.items():
            names = [*dict.fromkeys(_named(each.handler, with_site=everything) for each in found)]
            more = 0 if everything else len(names[SHOWN:])
            listed = ", ".join(names[:SHOWN]) + f" and {more} more" if more else ", ".join(names)
            rows.append(f"  {listed}  {test}")
            first = found[0]
            reason = first.run["reason"] if first.process is first.run["processes"][0] else None
            rows[-1] += f"\n    {reason}" if everything and reason else ""
        number = sum(map(len, tests.values()))
        lines += _cut(f"skipped {cause} ({number})", rows, everything=everything)
    return lines


def _running(runs: Sequence[RunFacts], *, everything: bool) -> list[Line]:
    """What nobody had a result of when its worker of xdist crashed or was killed."""
    running = [run for run in runs if run["state"] == "running"]
    rows = [f"  {_test(run)}" + (f"\n    $ {run['command']}" if everything else "") for run in running]
    return _cut(f"running when their worker ended ({len(rows)})", rows, everything=everything)


def _named(handler: HandlerFacts, *, with_site: bool) -> str:
    return f"{handler['name']} ({handler['where']})" if with_site and handler["where"] else handler["name"]


def _cut(title: str, rows: Sequence[str], *, everything: bool) -> list[Line]:
    if not rows:
        return []
    shown = rows if everything else rows[:SHOWN]
    more = [f"  … and {len(rows) - SHOWN} more (-v shows them)"] if len(shown) < len(rows) else []
    return [Line(f"{title}:", {"bold": True}), *(Line(row, {}) for row in (*shown, *more))]


def _first_line(text: str) -> str:
    first, *rest = text.splitlines() or [""]
    return f"{first} …" if rest else first


def _shutdown(run: RunFacts) -> float:
    return run["exit_duration"] or 0.0


def _test(run: RunFacts) -> str:
    return run["test"] or run["command"]
