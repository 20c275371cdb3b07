"""What is said of a handler: its name, its arguments, where it was registered and by whom."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_atexit import ExitResult, Handler

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]


def of(result: ExitResult, name: str) -> Handler:
    """Returns the only handler of that name."""
    (handler,) = [handler for handler in result.handlers if handler.name == name]
    return handler


NAMES = {
    "function": ("def close(): pass", "close", "close", "close"),
    "lambda": ("", "lambda: None", "<lambda>", "<lambda>"),
    "nested": ("def outer():\n    def inner(): pass\n    return inner", "outer()", "inner", "outer.<locals>.inner"),
    "method": ("class Owner:\n    def close(self): pass", "Owner().close", "Owner.close", "Owner.close"),
    "class method": (
        "class Owner:\n    @classmethod\n    def close(cls): pass",
        "Owner.close",
        "Owner.close",
        "Owner.close",
    ),
    "callable object": ("class Closer:\n    def __call__(self): pass", "Closer()", "Closer", "Closer"),
    "class": ("class Closer: pass", "Closer", "Closer", "Closer"),
    "partial": (
        "import functools\ndef close(x): pass",
        "functools.partial(close, 1)",
        "partial(close)",
        "partial(close)",
    ),
    "partial of a partial": (
        "import functools\ndef f():\n    def close(x): pass\n    return close",
        "functools.partial(functools.partial(f(), 1))",
        "partial(close)",
        "partial(f.<locals>.close)",
    ),
    "built-in": ("import os", "os.getpid", "getpid", "getpid"),
    "method of a built-in": ("", "[].clear", "list.clear", "list.clear"),
    "wrapped": (
        "import functools\ndef close(): pass\n@functools.wraps(close)\ndef wrapper(): pass",
        "wrapper",
        "close",
        "close",
    ),
    "renamed": ("def close(): pass\nclose.__qualname__ = 'other'", "close", "other", "other"),
    "cached": ("import functools\n@functools.lru_cache\ndef close(): pass", "close", "close", "close"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_handlers_are_the_qualified_ones(case: str, recorded: Recorded) -> None:
    """A handler's name is what a reader calls it, whatever sort of callable it is."""
    setup, expression, name, qualname = NAMES[case]
    result = recorded(f"import atexit\n{setup}\natexit.register({expression})\n")
    assert [(handler.name, handler.qualname) for handler in result.handlers] == [(name, qualname)]
    assert result.registered == result.ran == [name]


PLAIN = [
    (), (None,), (True, False), (0, -1, 10**40, -(10**40)), (0.1, -0.0, float("inf"), 1e-310), ("", "text", "ü\n\t\0\x1f\x1e\x1d\\"),
    ("\ud800",), (b"", b"\xff\0\n\x1f"), ([], [1, [2, [3]]]), ((), (1, (2,))), ({}, {"k": [1], 2: (3,), None: {}}),
    ({"x"}, frozenset({2}), set(), frozenset()), ({(1, 2): {3}},), ("x" * 1000, b"y" * 1000, [*range(100)]),
]  # fmt: skip


@pytest.mark.parametrize("values", PLAIN, ids=range(len(PLAIN)))
def test_plain_data_is_recorded_as_it_was(values: tuple[Any, ...], recorded: Recorded) -> None:
    """Positional and keyword arguments of plain data are equal to what was passed, and of the same types."""
    result = recorded(
        f"import atexit; inf = float('inf'); atexit.register(lambda *a, **k: 0, *{values!r}, k={values!r})"
    )
    (handler,) = result.handlers
    assert repr(handler.args) == repr(values)
    assert repr(handler.kwargs) == repr({"k": values})


def test_not_a_number_is_recorded_as_it_was(recorded: Recorded) -> None:
    """Also the float that isn't equal to itself."""
    (value,) = recorded("import atexit; atexit.register(id, float('nan'))").handlers[0].args
    assert isinstance(value, float)
    assert math.isnan(value)


def test_keywords_may_have_any_name(recorded: Recorded) -> None:
    """Names that our own functions use are the handler's."""
    names = ["self", "cls", "func", "args", "kwargs", "handler", "frame", "number", "not an identifier", ""]
    result = recorded(f"import atexit; atexit.register(dict, **dict.fromkeys({names}, 1))")
    assert result.handlers[0].kwargs == dict.fromkeys(names, 1)


def test_arguments_are_recorded_as_they_were_when_registered(recorded: Recorded) -> None:
    """What becomes of a mutable argument later is another matter."""
    result = recorded("import atexit; x = [1]; atexit.register(id, x); x.append(2)")
    assert result.handlers[0].args == ([1],)


@pytest.mark.parametrize(
    "value",
    [
        "'x' * 5000",
        "b'x' * 5000",
        "[7] * 5000",
        "(7,) * 5000",
        "{7: 7, **{i: i for i in range(5000)}}",
        "set(range(5000))",
    ],
)
def test_long_values_are_cut_and_marked(value: str, recorded: Recorded) -> None:
    """A long value keeps its type and its beginning, is much shorter, and says that it was longer and how long."""
    (found,) = recorded(f"import atexit; atexit.register(id, {value})").handlers[0].args
    whole = eval(value)
    assert type(found) is type(whole)
    assert len(found) < 1100
    text = repr(found)
    assert "5000" in text or "4900" in text
    assert text[:3] == repr(whole)[:3] or isinstance(whole, set)


def test_values_that_contain_themselves_are_recorded(recorded: Recorded) -> None:
    """A recursive value has an end in the record."""
    result = recorded("""
        import atexit
        loop = [1]
        loop.append(loop)
        table = {"k": 2}
        table["t"] = table
        deep = []
        for _ in range(5000):
            deep = [deep]
        atexit.register(lambda *args: None, loop, table, deep)
        """)
    loop, table, deep = result.handlers[0].args
    assert (loop[0], table["k"]) == (1, 2)
    assert "<builtins.list>" in repr(loop)
    assert "<builtins.dict>" in repr(table)
    assert "<builtins.list>" in repr(deep)
    assert not result.lost


def test_many_large_arguments_keep_the_event(recorded: Recorded) -> None:
    """However large the arguments are together, the handler is recorded."""
    result = recorded("""
        import atexit
        big = {str(i) * 50: [["x" * 900] * 90] * 90 for i in range(90)}
        atexit.register(id, big)
        atexit.register(lambda *args, **kwargs: None, *[big] * 90, **{f"k{i}": big for i in range(90)})
        """)
    assert result.ran == ["<lambda>", "id"]
    assert not result.lost


def test_anything_else_is_named_by_its_type(recorded: Recorded) -> None:
    """What isn't plain data is a string with the type's module and name; subclasses of plain types are not plain."""
    result = recorded("""
        import atexit, decimal, pathlib
        class Text(str): pass
        class Owner:
            class Inner(dict): pass
        atexit.register(lambda *a: 0, object(), decimal.Decimal(1), Text("x"), Owner.Inner(), Owner, len, [Text("y")])
        """)
    *values, listed = result.handlers[0].args
    assert list(map(str, values)) == [
        "<builtins.object>", "<decimal.Decimal>", "<__main__.Text>", "<__main__.Owner.Inner>", "<builtins.type>",
        "<builtins.builtin_function_or_method>",
    ]  # fmt: skip
    assert repr(listed) == "[<__main__.Text>]"


def test_where_is_the_line_that_called_register(recorded: Recorded, script: Script, tmp_path: Path) -> None:
    """`where` names file and line of the registration: a call, a decorator, another module's."""
    script("import atexit\n\n\ndef add(f):\n    atexit.register(f)\n", "other.py")
    path = script("""\
        import atexit
        import other
        atexit.register(print)
        @atexit.register
        def decorated(): pass
        def outer():
            atexit.register(
                id,
                1,
            )
        outer()
        other.add(repr)
        list(map(atexit.register, [len]))
        exec("\\natexit.register(dir)")
        """)
    result = recorded(path, cwd=tmp_path)
    decorated = 4 if sys.version_info >= (3, 11) else 5  # of the decorator; before that, of the `def`
    assert [handler.where for handler in result.handlers] == [
        "program.py:3", f"program.py:{decorated}", "program.py:7", "other.py:5", "program.py:13", "<string>:2",
    ]  # fmt: skip


def test_looking_at_what_is_registered_calls_nothing(recorded: Recorded) -> None:
    """A program that goes through all objects comes upon what stands in for its handlers, and may ask for `__call__`."""
    result = recorded("""
        import atexit, gc, sys
        def handler(): pass
        atexit.register(handler)
        for each in gc.get_objects():
            getattr(each, "__call__", None)
        print(sys.unraisablehook is sys.__unraisablehook__)
        """)
    assert (result.ran, result.failed, result.stdout) == (["handler"], [], "True\n")


def test_thread_that_registered_is_named(recorded: Recorded) -> None:
    """`thread` is the main thread's name, that of a thread of `threading`, or says that it is another one."""
    result = recorded("""
        import _thread, atexit, threading
        def first(): pass
        def second(): pass
        def third(): pass
        def fourth(): pass
        def register(f):
            atexit.register(f)
            done.set()
        for name, handler in ("worker", first), ("ünicode\\t", second):
            thread = threading.Thread(target=atexit.register, args=(handler,), name=name)
            thread.start()
            thread.join()
        done = threading.Event()
        _thread.start_new_thread(register, (third,))
        done.wait()
        atexit.register(fourth)
        """)
    assert [of(result, name).thread for name in ("first", "second", "fourth")] == ["worker", "ünicode\t", "MainThread"]
    assert of(result, "third").thread not in ("MainThread", "")


# ---- who registered it

ORIGINS = """
import atexit, logging, shutil, sys, tempfile, threading, weakref
import library, coverage.control
class Target: pass
target = Target()
weakref.finalize(target, print)
def close(): pass
atexit.register(close)
atexit.register(shutil.rmtree, "/nonexistent", True)
atexit.register(library.function)
library.registers(close)
library.registers(shutil.copy)
thread = threading.Thread(target=atexit.register, args=(close,))
thread.start(); thread.join()
thread = threading.Thread(target=atexit.register, args=(library.function,))
thread.start(); thread.join()
"""


@pytest.fixture
def libraries(script: Script) -> str:
    """A folder for PYTHONPATH that looks like site-packages, with a library and what looks like coverage."""
    registers = "import atexit\ndef function(): pass\ndef registers(f): atexit.register(f)\n"
    path = script(registers, "venv/lib/site-packages/library.py")
    script("", "venv/lib/site-packages/coverage/__init__.py")
    script("import atexit\natexit.register(print)\n", "venv/lib/site-packages/coverage/control.py")
    return str(path.parent)


def test_origin_is_who_called_register(recorded: Recorded, libraries: str) -> None:
    """The caller counts: program, library, standard library or coverage; a thread's target is its owner's."""
    result = recorded(ORIGINS, env={"PYTHONPATH": libraries})
    told = [(handler.name, handler.origin) for handler in result.handlers]
    assert told == [
        ("shutdown", "stdlib"),
        ("print", "coverage"),
        ("finalize._exitfunc", "stdlib"),
        ("print", "program"),
        ("close", "program"),
        ("rmtree", "program"),
        ("function", "program"),
        ("close", "library"),
        ("copy", "library"),
        ("close", "program"),
        ("function", "library"),
    ]


def test_lists_leave_out_what_is_not_the_programs_or_a_librarys(recorded: Recorded, libraries: str) -> None:
    """The standard library's own handlers and coverage's are in no name list, and on the timeline all the same."""
    result = recorded(ORIGINS, env={"PYTHONPATH": libraries})
    assert result.registered == ["close", "rmtree", "function", "close", "copy", "close", "function"]
    assert result.ran == [*reversed(result.registered)]
    assert result.failed == ["copy"]
    assert len(result.timeline) == len(result.handlers) == 11
