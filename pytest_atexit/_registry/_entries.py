"""What the interpreter does with registered handlers, in Python: in the order, and with the oddities, of each version.

Up to 3.13, and on PyPy, handlers are in an array with holes where some were taken out; from 3.14 on, they are in a
list, the newest first. docs/registry.md says what follows from that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Entry:
    """A registered handler; `number` is that of its registration."""

    func: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    number: int


class Slots:
    """As in the interpreters up to 3.13.

    Args:
        removed: told of entries that were taken out.
        call: calls a handler and lets nothing out that it raises.
    """

    def __init__(self, removed: Callable[[Iterable[Entry]], object], call: Callable[[Entry], object]) -> None:
        self._entries: list[Entry | None] = []
        self._removed = removed
        self._call = call

    def __len__(self) -> int:
        """As `_ncallbacks`: holes count, too."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry | None]:
        """Yields entries, and None for a hole, also such that come in meanwhile."""
        yield from self._entries

    def append(self, entry: Entry) -> None:
        """Register it."""
        self._entries.append(entry)

    def remove(self, index: int) -> None:
        """Make a hole."""
        if index < len(self._entries) and (entry := self._entries[index]):
            self._entries[index] = None
            self._removed([entry])

    def discard(self, entry: Entry) -> None:
        """Take out this very one, and leave no hole at the end."""
        if entry in self._entries:
            self.remove(self._entries.index(entry))
        while self._entries and self._entries[-1] is None:
            self._entries.pop()

    def unregister(self, func: object) -> None:
        """Take out what is equal, the oldest first; a comparison may raise, or change the registry."""
        for index, entry in enumerate(self._entries):
            if entry and (entry.func is func or entry.func == func):
                self.remove(index)

    def clear(self) -> None:
        """Take all out."""
        gone = [entry for entry in self._entries if entry]
        self._entries.clear()
        self._removed(gone)

    def forget(self) -> None:
        """Let go of all, and tell nobody."""
        self._entries.clear()

    def run(self) -> None:
        """Call all, the newest first, and forget them and those that they have registered."""
        for index in range(len(self._entries) - 1, -1, -1):
            if index < len(self._entries) and (entry := self._entries[index]):
                self._call(entry)
        self._entries.clear()


class Backwards(Slots):
    """As in PyPy: an iterator that goes backwards is over as soon as the list doesn't reach to where it is."""

    def run(self) -> None:
        """Call all, the newest first, and forget them and those that they have registered."""
        for entry in reversed(self._entries):
            if entry:
                self._call(entry)
        self._entries.clear()


class NewestFirst(Slots):
    """As in the interpreters from 3.14 on: no holes, a comparison the other way round, and a run of a copy."""

    def append(self, entry: Entry) -> None:
        """Register it."""
        self._entries.insert(0, entry)

    def discard(self, entry: Entry) -> None:
        """Take out this very one."""
        self._remove(entry, len(self) - 1)

    def unregister(self, func: object) -> None:
        """Take out what is equal, the oldest first; a comparison may raise, or change the registry."""
        index = len(self._entries) - 1
        while index >= 0:
            entry = self._entries[index]
            assert entry is not None  # there are no holes
            if func is entry.func or func == entry.func:
                index = self._remove(entry, index)
            index = min(index, len(self._entries)) - 1

    def _remove(self, entry: Entry, index: int) -> int:
        """Take out an entry that was at this index, and may be at a lower one now."""
        for found in range(min(index, len(self._entries) - 1), -1, -1):
            if self._entries[found] is entry:
                del self._entries[found]
                self._removed([entry])
                return found
        return index

    def run(self) -> None:
        """Call all that were there, the newest first, and forget all."""
        entries = [entry for entry in self._entries if entry]
        for entry in entries:
            self._call(entry)
        if entries:
            self._entries.clear()


def entries_of_this_version() -> type[Slots]:
    """Returns what is as in this interpreter."""
    if sys.implementation.name == "pypy":
        return Backwards
    return NewestFirst if sys.version_info[:2] >= (3, 14) else Slots
