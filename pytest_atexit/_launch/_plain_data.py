"""Plain data as the text of an expression, which gives it again in every Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

# Python's parser takes 200 brackets within each other; a frozenset of tuples costs three a level.
_DEEPEST = 40
_READABLE = 64  # bits of an integer that is written in decimal


class NotPlain(Exception):
    """A value is not plain data; the message is its type and, for a container, what is wrong inside it."""


def type_name(value: object) -> str:
    """Returns the name of a value's type, with its module unless that is builtins."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def literal(value: object) -> str:
    """Returns an expression for None, bool, int, float, complex, str, bytes, Ellipsis, and containers of them.

    Types count exactly: neither an instance of a subclass is plain data, nor a container with one in it.

    Raises:
        NotPlain: it, or something in it, is none of these.
    """
    return _expression(value, (value,))


def _expression(value: object, path: tuple[object, ...]) -> str:
    kind = type(value)
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    if kind not in _CONTAINERS:
        raise NotPlain(type_name(path[0]) + (f" with a {type_name(value)} in it" if len(path) > 1 else ""))
    if len(path) > _DEEPEST:
        msg = f"{type_name(path[0])}, in itself or nested more than {_DEEPEST} deep"
        raise NotPlain(msg)
    items = [_expression(item, (*path, item)) for item in cast("Iterable[object]", value)]
    if isinstance(value, dict):
        values = [_expression(item, (*path, item)) for item in value.values()]
        items = [f"{key}: {item}" for key, item in zip(items, values, strict=True)]
    return _CONTAINERS[kind].format("".join(f"{item}, " for item in items))


def _int(value: int) -> str:
    # Decimal text has a greatest length, and takes quadratic time.
    return repr(value) if value.bit_length() <= _READABLE else hex(value)


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float('{value!r}')"


_SCALARS: dict[type, Callable[[Any], str]] = {
    type(None): repr,
    bool: repr,
    int: _int,
    float: _float,
    # Not its repr, which loses the signs of zeros and has names for what is not finite.
    complex: lambda value: f"complex({_float(value.real)}, {_float(value.imag)})",
    str: ascii,
    bytes: repr,
    type(...): lambda _: "...",
}

# Each item brings its comma, so that "(1, )" is a tuple too.
_CONTAINERS: dict[type, str] = {
    tuple: "({})",
    list: "[{}]",
    dict: "{{{}}}",
    set: "set(({}))",
    frozenset: "frozenset(({}))",
}
