"""Values in the journal: texts, and plain data as tokens (docs/journal.md)."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator

from pytest_atexit._events import Opaque

CONTAINERS: dict[str, Callable[[list[object]], object]] = {"t": tuple, "l": list, "e": set, "z": frozenset}


def unescape(text: str) -> str:
    """Returns the string behind its escaped form."""
    return codecs.decode(text, "unicode_escape") if "\\" in text else text


def decode_value(text: str) -> object:
    """Returns the plain data behind its tokens."""
    return _value(iter(text.split("\x1f")))


def _value(tokens: Iterator[str]) -> object:
    token = next(tokens, "")
    kind, text = token[:1], token[1:]
    if kind in SCALARS:
        return SCALARS[kind](text)
    shown, total = map(int, text.split(":"))
    cut = [Opaque(f"<{total - shown} more>")] if total > shown else []
    if kind == "d":
        pairs = {_value(tokens): _value(tokens) for _ in range(shown)}
        return pairs | {mark: mark for mark in cut}
    return CONTAINERS[kind]([*(_value(tokens) for _ in range(shown)), *cut])


def _long_text(text: str) -> str:
    size, _, beginning = text.partition(":")
    return f"{unescape(beginning)}… ({size} characters)"


def _long_bytes(text: str) -> bytes:
    size, _, beginning = text.partition(":")
    return unescape(beginning).encode("latin-1") + f"... ({size} bytes)".encode()


SCALARS: dict[str, Callable[[str], object]] = {
    "n": lambda _: None,
    "+": lambda _: True,
    "-": lambda _: False,
    "i": lambda text: int(text, 16),
    "f": float.fromhex,
    "s": unescape,
    "S": _long_text,
    "b": lambda text: unescape(text).encode("latin-1"),
    "B": _long_bytes,
    "o": lambda text: Opaque(f"<{unescape(text)}>"),
}
