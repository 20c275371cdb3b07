"""ExitMatrix: the results of one program by the endings that it was run under, as a mapping and as a table."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn

from pytest_atexit import _explain
from pytest_atexit._assertions import check_known
from pytest_atexit._ending import Ending, as_ending
from pytest_atexit._errors import LaunchError, printable
from pytest_atexit._handler import HIDDEN, Handler
from pytest_atexit._status import signal_name

if TYPE_CHECKING:
    from pytest_atexit._result import ExitResult, ProcessRecord

WIDTH = 76  # columns of a table, 80 with what pytest puts before it; the endings that don't fit in go on below
NAME_WIDTH = 36  # of the longest name of a handler
GAP = "  "
ABSENT = "absent"  # registered under other endings only
# What no program can catch, so that one which returned or exited there had ended before.
CERTAIN = (Ending.SIGKILL, Ending.OS_EXIT, Ending.ABORT, Ending.SEGFAULT, Ending.FATAL_ERROR, Ending.EXEC)
OWN_ENDINGS = (Ending.RETURN, Ending.SYS_EXIT, Ending.EXCEPTION)

Key = tuple[str, str, int]  # name, kind and how many of the same came before


class ExitMatrix(Mapping[Ending, "ExitResult"]):
    """The results of one program, one for each ending. As text, it is a table of handlers by endings.

    A result is found by what `ending=` takes, too: `matrix["sigterm"]`.
    """

    def __init__(self, results: Mapping[Ending, ExitResult]) -> None:
        self._results = dict(results)

    def __getitem__(self, ending: object) -> ExitResult:
        try:
            return self._results[as_ending(ending)]
        except (KeyError, LaunchError):
            raise KeyError(self._lacks(ending)) from None

    def _lacks(self, ending: object) -> str:
        known = ", ".join(repr(str(each)) for each in self)
        return f"the matrix has no ending {ending!r}; it has {known}"

    def __iter__(self) -> Iterator[Ending]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return f"<ExitMatrix of {', '.join(map(str, self))}>"

    def __str__(self) -> str:
        """The table: a row for each handler in registration order, a column for each ending."""
        return "\n".join([*_table(self._results), *self._ended_before()])

    def _ended_before(self) -> list[str]:
        """Lines on a program that ended by itself, before its last statement."""
        found = {ending: self[ending].ending for ending in self if ending in CERTAIN}
        came = [f"{ending} ({own})" for ending, own in found.items() if own in OWN_ENDINGS]
        if not came:
            return []
        text = (
            "The program ended by itself, so these endings, which come behind its last statement, never came (in "
            f"brackets how it ended): {_explain.listed(came)}. Where it calls sys.exit(main()), give what comes before "
            "as a function, or start it and send signals."
        )
        return textwrap.wrap(text, WIDTH, break_on_hyphens=False)

    def assert_ran(self, name: str, *, on: Iterable[object]) -> None:
        """This handler was called under exactly these endings.

        Args:
            name: of any handler, the standard library's included.
            on: endings of the matrix.

        Raises:
            AssertionError: it was called under another one too, or not under all of these, or no handler at all was
                registered under one of the matrix, or the program ended before they came, so that there is nothing to
                check.
            UnknownHandler: it was registered under no ending.
            ValueError: the matrix has no such ending.
        """
        __tracebackhide__ = True
        wanted = self._wanted(on)
        records: list[ProcessRecord] = [*self._results.values()]
        check_known([name], records)
        empty = [e for e, result in self.items() if all(h.origin in HIDDEN for h in _entries(result))]
        if empty:
            self._fail(f"no handler was registered under {_listed(empty)}, so there is nothing to check", wanted, [])
        if self._ended_before():
            self._fail("the program ended by itself before the endings came, so there is nothing to check", wanted, [])
        actual = [ending for ending, result in self.items() if any(call.name == name for call in result.timeline)]
        if actual != wanted:
            missing = [ending for ending in wanted if ending not in actual]
            more = [ending for ending in actual if ending not in wanted]
            wrong = [f"did not run under {_listed(missing)}"] if missing else []
            wrong += [f"ran under {_listed(more)}"] if more else []
            self._fail(f"{name} {', but '.join(wrong)}", wanted, actual)

    def _wanted(self, on: Iterable[object]) -> list[Ending]:
        """Returns endings of the matrix in its order."""
        if isinstance(on, (str, int)):
            msg = f"on is a list of endings, such as [{on!r}]"
            raise TypeError(msg)
        wanted = set()
        for ending in on:
            if ending not in self:
                raise ValueError(self._lacks(ending))
            wanted.add(as_ending(ending))
        return [ending for ending in self if ending in wanted]

    def _fail(self, headline: str, expected: Iterable[Ending], actual: Iterable[Ending]) -> NoReturn:
        __tracebackhide__ = True
        lines = [headline, f"  expected: {[*map(str, expected)]}", f"  actual:   {[*map(str, actual)]}", "", str(self)]
        raise AssertionError(printable("\n".join(lines)))

    def report(self) -> str:
        """Returns the report section of a failing test: the table, and how to run the programs by hand."""
        first, *others = self._results
        lines = [str(self), "", f"{first}: $ {self[first].command}"]
        if others:
            folders = ", ".join(f"{ending}: {self[ending].path.name}" for ending in others)
            lines += textwrap.wrap(f"and in other folders, {folders}", WIDTH, break_on_hyphens=False)
        return printable("\n".join(lines))


def _listed(endings: Iterable[Ending]) -> str:
    return _explain.listed(map(str, endings))


def _entries(result: ExitResult) -> list[Handler]:
    """Registrations, then what was done at exit without having been registered."""
    numbers = {handler.number for handler in result.handlers}
    return [*result.handlers, *(call for call in result.timeline if call.number not in numbers)]


def _is_shown(handler: Handler) -> bool:
    return handler.origin not in HIDDEN or handler.state in ("failed", "unfinished")


def _cells(result: ExitResult) -> dict[Key, str]:
    """What became of each handler, in registration order."""
    cells: dict[Key, str] = {}
    seen: Counter[tuple[str, str]] = Counter()
    calls = Counter(call.number for call in result.timeline)
    for handler in filter(_is_shown, _entries(result)):
        same = handler.name, handler.kind
        count = calls[handler.number]
        cells[handler.name, handler.kind, seen[same]] = f"{handler.state} {count}x" if count > 1 else handler.state
        seen[same] += 1
    return cells


def _merged(columns: Iterable[Iterable[Key]]) -> list[Key]:
    """All keys; those that only some columns have stand behind what they stand behind there."""
    order: list[Key] = []
    for column in columns:
        place = 0
        for key in column:
            if key not in order:
                order.insert(place, key)
            place = order.index(key) + 1
    return order


def _table(results: Mapping[Ending, ExitResult]) -> list[str]:
    cells = {ending: _cells(result) for ending, result in results.items()}
    rows = _merged(cells.values())
    names = ["handler", *(_short(name) for name, _, _ in rows), "exit status"]
    columns = []
    for ending, column in cells.items():
        status = _status(results[ending])
        texts = [str(ending), *(column.get(key, ABSENT) for key in rows), status]
        columns.append([text.ljust(max(map(len, texts))) for text in texts])
    heads = [name.ljust(max(map(len, names))) for name in names]
    lines: list[str] = []
    for block in _blocks(columns, WIDTH - len(heads[0])):
        lines += [""] if lines else []
        texts = [GAP.join(cells).rstrip() for cells in zip(heads, *block, strict=True)]
        rule = "-" * max(map(len, texts))
        lines += [texts[0], rule, *texts[1:-1], *([rule] if rows else []), texts[-1]]
    return lines


def _status(result: ExitResult) -> str:
    return str(result.status.code) if result.status.signal is None else signal_name(result.status.signal)


def _short(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1]}…"


def _blocks(columns: Iterable[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Yields as many columns at a time as fit in."""
    block: list[list[str]] = []
    used = 0
    for column in columns:
        size = len(GAP) + len(column[0])
        if block and used + size > width:
            yield block
            block, used = [], 0
        block.append(column)
        used += size
    if block:
        yield block
