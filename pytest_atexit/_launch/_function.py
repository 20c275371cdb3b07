r"""A function of a test file as a program of its own.

The program is a small Python file, the loader. It sets plain data, imports modules, compiles the function and all
definitions that it uses, each under the test file's name and at its own lines there, and then, unless it was imported
(multiprocessing's spawn does that), calls the function:

    globals().update({'limit': 3})
    import os
    exec(compile('\n' * 41 + 'if True:\n    def program(): ...', '/tests/test_app.py', 'exec', 0, True))
    if __name__ == "__main__":
        program(1, 'x')

Tracebacks therefore show the test file, and below them there is one line of the loader. A nested definition keeps its
indentation, under an `if True:` on the line above. Closure variables become globals: that is why two objects of one
name can't travel together.

What a definition uses is found by its names: its source is compiled alone, where the variables around it are global,
and the bytecode is asked which names it loads. Each name gets the value that it has at launch, from the closure, from
the running function around the definition, or from the module.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from os import PathLike
from types import FunctionType
from typing import Any, cast

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._luggage import Luggage
from pytest_atexit._launch._plain_data import NotPlain, literal, type_name
from pytest_atexit._launch._source import source_of, unwrapped

_WRITE_A_DEF = "write a def at module level of the test file or in the test"

# What is no def, most specific first, and what to do instead.
_REFUSED: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (inspect.isclass, "a class", f"{_WRITE_A_DEF} that creates the instance"),
    (inspect.ismethod, "a bound method", f"{_WRITE_A_DEF} that creates the object and calls its method"),
    (
        lambda function: isinstance(function, functools.partial),
        "a functools.partial",
        "pass its function, and its arguments as arguments",
    ),
    (inspect.isbuiltin, "a builtin function", f"{_WRITE_A_DEF} that calls it"),
    (lambda function: not inspect.isfunction(function), "not a function", f"{_WRITE_A_DEF} that creates and calls it"),
    (inspect.iscoroutinefunction, "a coroutine function", f"{_WRITE_A_DEF} that runs it by asyncio.run"),
    (inspect.isasyncgenfunction, "an asynchronous generator function", f"{_WRITE_A_DEF} without yield"),
    (inspect.isgeneratorfunction, "a generator function", f"{_WRITE_A_DEF} without yield"),
    (lambda function: function.__code__.co_name == "<lambda>", "a lambda", _WRITE_A_DEF),
)


def program_text(function: Callable[..., object], args: Sequence[object]) -> str:
    """Returns the text of a Python file which, run natively as `python FILE`, runs the function's body as the program.

    What the function uses travels with it: modules, importable functions and classes, plain data, and functions and
    classes of its file with what they use. To be called while the test that the function is nested in runs, and by the
    same thread. The text is to be saved as UTF-8; it ends with a line end, and what is appended runs after the body.

    Args:
        function: a plain function, at module level or nested.
        args: its positional arguments, plain data.

    Raises:
        LaunchError: the function can't be a program, an argument is not plain data, or something that it uses can't
            travel.
    """
    program = _plain_function(function)
    arguments = _arguments(program, args)
    inner = unwrapped(program)
    written = inner if isinstance(inner, FunctionType) else program
    source = source_of(written)
    if source is None:
        msg = f"the source of {_name(program)} is in no file (exec, or a terminal): {_WRITE_A_DEF}"
        raise LaunchError(msg)
    luggage = Luggage(program, source, written.__globals__)
    return luggage.text() + f'if __name__ == "__main__":\n    {luggage.name}({arguments})\n'


def _plain_function(function: Callable[..., object]) -> FunctionType:
    for is_that, what, instead in _REFUSED:
        if is_that(function):
            msg = f"{_name(function)} is {what}, which can't run as a program: {instead}"
            raise LaunchError(msg)
    return cast("FunctionType", function)


def _arguments(program: FunctionType, args: Sequence[object]) -> str:
    """Returns the text between the call's parentheses."""
    # Without annotations, which inspect.signature evaluates since Python 3.14, and without what it is a wrapper of.
    bare = FunctionType(program.__code__, {}, program.__name__, program.__defaults__, program.__closure__)
    bare.__kwdefaults__ = program.__kwdefaults__
    try:
        inspect.signature(bare).bind(*args)
    except TypeError as error:
        msg = f"{_name(program)} can't be called with {len(args)} arguments: {error}"
        raise LaunchError(msg) from None
    return ", ".join(_argument(program, number, value) for number, value in enumerate(args, 1))


def _argument(program: FunctionType, number: int, value: object) -> str:
    try:
        return literal(value)
    except NotPlain as error:
        instead = "pass str() of it" if isinstance(value, PathLike) else "create it inside the function"
        msg = f"argument {number} of {_name(program)} ({error}) is not plain data: {instead}"
        raise LaunchError(msg) from None


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type_name(function))).rpartition("<locals>.")[2]
