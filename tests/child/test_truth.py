"""What the record says is what happened: no more, no less, in its order."""

from __future__ import annotations

import math
import signal
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_atexit import Ending, ExitResult, Handler

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]


def of(result: ExitResult, name: str) -> Handler:
    """Returns the only handler of that name."""
    (handler,) = [handler for handler in result.handlers if handler.name == name]
    return handler


# ---- states


def test_states_of_handlers_are_told_apart(recorded: Recorded) -> None:
    """Each handler is in the lists that say what became of it, in the right order."""
    result = recorded("""
        import atexit, os
        def ran(): pass
        def fails(): raise ValueError("text")
        def leaves(): os._exit(5)
        def skipped(): pass
        def removed(): pass
        def late(): pass
        for handler in skipped, leaves, fails, removed, ran, ran, removed:
            atexit.register(handler)
        atexit.unregister(removed)
        """)
    assert result.registered == ["skipped", "leaves", "fails", "removed", "ran", "ran", "removed"]
    assert result.ran == ["ran", "ran", "fails", "leaves"]
    assert (result.failed, result.unfinished, result.skipped) == (["fails"], ["leaves"], ["skipped"])
    assert result.unregistered == ["removed", "removed"]
    assert [handler.state for handler in result.handlers] == [
        "skipped", "unfinished", "failed", "unregistered", "ran", "ran", "unregistered",
    ]  # fmt: skip
    assert [(handler.name, handler.state) for handler in result.timeline] == [
        ("ran", "ran"), ("ran", "ran"), ("fails", "failed"), ("leaves", "unfinished"),
    ]  # fmt: skip


def test_handler_that_is_registered_by_a_handler_is_skipped(recorded: Recorded) -> None:
    """A handler that another one registers is recorded, and never runs."""
    result = recorded("""
        import atexit
        def late(): pass
        atexit.register(atexit.register, late)
        """)
    assert (result.ran, result.skipped) == (["register"], ["late"])


def test_runs_by_hand_are_on_the_timeline(recorded: Recorded) -> None:
    """Handlers that `_run_exitfuncs` calls have run, and one registered again runs twice and is a duplicate."""
    result = recorded("""
        import atexit
        def once(): pass
        def twice(): pass
        atexit.register(once)
        atexit.register(twice)
        atexit._run_exitfuncs()
        atexit.register(twice)
        """)
    assert result.ran == ["twice", "once", "twice"]
    assert result.duplicates == {"twice": 2}
    assert [handler.number for handler in result.timeline] == [2, 1, 3]


def test_one_registration_that_runs_twice_is_on_the_timeline_twice(recorded: Recorded) -> None:
    """Where a nested run calls the remaining handlers again (3.14 and later), the record says so; elsewhere not."""
    result = recorded("""
        import atexit
        def twice(): pass
        done = []
        def nests():
            if not done:
                done.append(1)
                atexit._run_exitfuncs()
        atexit.register(twice)
        atexit.register(nests)
        """)
    times = 2 if sys.version_info >= (3, 14) else 1
    assert result.ran.count("twice") == times
    assert len({handler.number for handler in result.timeline if handler.name == "twice"}) == 1
    assert result.duplicates.get("twice", 1) == times


def test_removals_are_in_the_order_in_which_they_happened(recorded: Recorded) -> None:
    """`unregistered` names what `unregister` and `_clear` took out, once for each entry, and nothing else."""
    result = recorded("""
        import atexit
        def a(): pass
        def b(): pass
        def c(): pass
        for handler in a, b, a, c, b:
            atexit.register(handler)
        atexit.unregister(b)
        atexit.unregister(len)
        atexit.unregister(b)
        atexit._clear()
        atexit.register(b)
        """)
    assert result.unregistered == ["b", "b", "a", "a", "c"]
    assert (result.ran, result.skipped) == (["b"], [])


def test_removal_that_is_cut_off_by_an_exception_counts_up_to_there(recorded: Recorded) -> None:
    """What an `unregister` took out before an `__eq__` raised is unregistered; the rest still runs."""
    result = recorded("""
        import atexit
        def same(): pass
        class Raises:
            def __eq__(self, other): raise ValueError
            def __call__(self): pass
        for handler in same, Raises(), same:
            atexit.register(handler)
        try:
            atexit.unregister(same)
        except ValueError:
            pass
        """)
    assert (result.unregistered, result.ran) == (["same"], ["same", "Raises"])


def test_removal_in_a_handler_is_what_the_interpreter_makes_of_it(recorded: Recorded) -> None:
    """A handler taken out by another one is skipped up to 3.13 and runs from 3.14 on."""
    result = recorded("""
        import atexit
        def target(): print("target")
        atexit.register(target)
        atexit.register(atexit.unregister, target)
        """)
    assert ("target" in result.ran) == ("target" in result.stdout) == (sys.version_info >= (3, 14))
    assert (of(result, "target").state, result.unregistered) == ("unregistered", ["target"])
    assert [handler.state for handler in result.timeline] == ["ran"] * len(result.ran)


def test_handlers_run_last_first_and_without_overlap(recorded: Recorded) -> None:
    """Times on the timeline rise, each call ends before the next begins, and all lie within the program's life."""
    result = recorded("""
        import atexit
        for _ in range(20):
            atexit.register(sum, range(1000))
        """)
    times = [time for handler in result.timeline for time in (handler.started, handler.finished)]
    assert times == sorted(times)
    assert len(times) == 40
    assert 0 < times[0] < times[-1] < result.duration
    assert all(handler.duration is not None and handler.duration >= 0 for handler in result.timeline)
    assert [handler.number for handler in result.timeline] == list(range(20, 0, -1))


def test_hundred_thousand_handlers_are_recorded(recorded: Recorded) -> None:
    """A program with very many handlers loses none of them."""
    result = recorded("""
        import atexit
        def handler(number): pass
        for number in range(100_000):
            atexit.register(handler, number)
        """)
    assert len(result.timeline) == 100_000
    assert [handler.args for handler in result.timeline[:2]] == [(99_999,), (99_998,)]
    assert not result.lost
    assert result.skipped == []


# ---- what is said of a handler

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


# ---- exceptions


def test_exception_is_recorded_with_type_bases_message_and_traceback(recorded: Recorded) -> None:
    """What a handler raised is told as Python prints it."""
    result = recorded("""\
        import atexit
        class Special(LookupError, ValueError): pass
        def inner():
            raise Special("text", 2)
        def outer():
            try:
                inner()
            except Special as error:
                raise RuntimeError(f"because of {error}") from error
        atexit.register(inner)
        atexit.register(outer)
        """)
    inner, outer = of(result, "inner").exception, of(result, "outer").exception
    assert inner and outer
    assert inner.type == "__main__.Special"
    assert inner.bases == ("LookupError", "ValueError", "Exception", "BaseException")
    assert inner.message == "('text', 2)"
    assert str(inner) == "__main__.Special: ('text', 2)"
    assert (outer.type, outer.message) == ("RuntimeError", "because of ('text', 2)")
    traceback = [line.split(", line ")[-1].strip() for line in outer.traceback.splitlines() if "^" not in line]
    assert [line for line in traceback if line[:1].isdigit()] == ["7, in outer", "4, in inner", "9, in outer"]
    assert "The above exception was the direct cause of the following exception:" in outer.traceback
    assert outer.traceback.splitlines()[-1] == "RuntimeError: because of ('text', 2)"


@pytest.mark.parametrize(
    ("raised", "type_", "message"),
    [
        ("SystemExit(7)", "SystemExit", "7"),
        ("SystemExit", "SystemExit", ""),
        ("KeyboardInterrupt()", "KeyboardInterrupt", ""),
        ("StopIteration(3)", "StopIteration", "3"),
        ("MemoryError()", "MemoryError", ""),
        ("KeyError('k')", "KeyError", "'k'"),
        ("OSError(2, 'no such', 'file')", "FileNotFoundError", "[Errno 2] no such: 'file'"),
        ("ValueError('ü\\n\\t\\x1e\\x1f')", "ValueError", "ü\n\t\x1e\x1f"),
        ("UnicodeDecodeError('utf-8', b'x', 0, 1, 'why')", "UnicodeDecodeError", "'utf-8' codec can't decode byte 0x78 in position 0: why"),
        ("type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})('arg')", "__main__.Odd", "arg"),
        ("1", "TypeError", "exceptions must derive from BaseException"),
    ],
)  # fmt: skip
def test_any_exception_is_recorded(raised: str, type_: str, message: str, recorded: Recorded) -> None:
    """Whatever a handler raises is recorded as its failure, and its `__str__` isn't run for it."""
    result = recorded(f"import atexit\ndef fails(): raise {raised}\natexit.register(print)\natexit.register(fails)")
    exception = of(result, "fails").exception
    assert exception
    assert (exception.type, exception.message) == (type_, message)
    assert (result.ran, result.failed, of(result, "print").state) == (["fails", "print"], ["fails"], "ran")


def test_failure_is_recorded_whatever_the_hook_is(recorded: Recorded) -> None:
    """A program's own `sys.unraisablehook`, a missing one and one that raises hide no failure from the record."""
    result = recorded("""
        import atexit, sys
        def fails(text): raise ValueError(text)
        def raises(unraisable): raise KeyError
        def delete(): del sys.unraisablehook
        for number, hook in enumerate([None, raises, print, len]):
            atexit.register(fails, number)
            atexit.register(setattr, sys, "unraisablehook", hook)
        atexit.register(fails, "deleted")
        atexit.register(delete)
        atexit.register(fails, "default")
        """)
    told = [handler.exception.message for handler in result.timeline if handler.exception]
    assert told == ["default", "deleted", "3", "2", "1", "0"]
    assert result.failed == ["fails"] * 6


def test_failures_in_a_nested_run_belong_to_their_handlers(recorded: Recorded) -> None:
    """Where handlers run within a handler, each failure is that of the one that raised."""
    result = recorded("""
        import atexit
        def inner(): raise KeyError("inner")
        def outer():
            atexit._clear()
            atexit.register(inner)
            atexit._run_exitfuncs()
            raise ValueError("outer")
        atexit.register(outer)
        """)
    assert [(handler.name, handler.exception.message) for handler in result.timeline if handler.exception] == [
        ("outer", "outer"), ("inner", "'inner'"),
    ]  # fmt: skip


def test_exceptions_ignored_elsewhere_are_nobodys_failure(recorded: Recorded) -> None:
    """An exception in a `__del__` that runs within a handler doesn't make that handler fail."""
    result = recorded("""
        import atexit
        class Dies:
            def __del__(self): raise ValueError("in __del__")
        def drops(): Dies()
        def drops_and_fails():
            Dies()
            raise KeyError("own")
        atexit.register(drops)
        atexit.register(drops_and_fails)
        """)
    assert result.failed == ["drops_and_fails"]
    assert (exception := of(result, "drops_and_fails").exception)
    assert exception.message == "'own'"


# ---- processes


def test_forked_child_inherits_handlers(recorded: Recorded) -> None:
    """A child of a fork has a record of its own, with the inherited handlers under their numbers."""
    result = recorded("""
        import atexit, os, sys
        def shared(): pass
        def own(): pass
        def gone(): pass
        atexit.register(gone)
        atexit.register(shared)
        atexit.unregister(gone)
        if not os.fork():
            atexit.register(own)
            sys.exit(3)
        os.wait()
        atexit.register(own)
        """)
    (child,) = result.children
    assert (child.role, child.parent_pid, result.role) == ("fork", result.pid, "main")
    assert [(handler.name, handler.inherited, handler.state) for handler in child.handlers] == [
        ("shared", True, "ran"), ("own", False, "ran"),
    ]  # fmt: skip
    assert child.handlers[0].number == of(result, "shared").number
    assert child.handlers[1].number != of(result, "own").number
    assert child.ran == result.ran == ["own", "shared"]
    assert not any(handler.inherited for handler in result.handlers)


def test_fork_in_a_handler_has_the_remaining_ones_run_in_both(recorded: Recorded) -> None:
    """After a fork within a handler both processes run what is left, and neither runs the handler again."""
    if sys.version_info[:3] == (3, 12, 1):
        pytest.skip("this version can't fork in a handler")
    result = recorded("""
        import atexit, os
        def remaining(): pass
        def forks():
            if pid := os.fork():
                os.waitpid(pid, 0)
        def earlier(): pass
        for handler in remaining, forks, earlier:
            atexit.register(handler)
        """)
    (child,) = result.children
    assert result.ran == ["earlier", "forks", "remaining"]
    assert "remaining" in child.ran
    assert "earlier" not in child.ran
    assert child.unfinished == []


def test_child_that_leaves_or_is_killed_skips_its_handlers(recorded: Recorded) -> None:
    """`os._exit` and SIGKILL in a forked child skip what it inherited and registered."""
    result = recorded("""
        import atexit, os, signal
        def handler(): pass
        atexit.register(handler)
        for leave in lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL):
            if not os.fork():
                atexit.register(print)
                leave()
            os.wait()
        """)
    assert [(child.ran, child.skipped) for child in result.children] == [([], ["handler", "print"])] * 2
    assert result.ran == ["handler"]


def test_generations_of_forks_are_recorded(recorded: Recorded) -> None:
    """Each of a chain of forks has its record and its own parent."""
    result = recorded("""
        import atexit, os
        def handler(): pass
        atexit.register(handler)
        for _ in range(4):
            if pid := os.fork():
                os.waitpid(pid, 0)
                break
        """)
    chain = [result, *result.children]
    assert [child.parent_pid for child in chain[1:]] == [parent.pid for parent in chain[:-1]]
    assert [record.ran for record in chain] == [["handler"]] * 5


def test_failed_fork_leaves_no_child(recorded: Recorded) -> None:
    """A fork that the system refuses is no process."""
    result = recorded("""
        import atexit, os, resource, sys
        atexit.register(print)
        if os.geteuid() == 0:
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            os.fork()
        except BlockingIOError:
            sys.exit(4)
        """)
    assert (result.returncode, result.children, result.ran) == (4, [], ["print"])


ROLES = {
    "subprocess": ("subprocess", "subprocess.run([sys.executable, '-c', CODE])"),
    "subprocess with preexec_fn": ("subprocess", "subprocess.run([sys.executable, '-c', CODE], preexec_fn=int)"),
    "shell": ("subprocess", "os.system(f'{sys.executable} -c \"{CODE}\"')"),
    "posix_spawn": (
        "subprocess",
        "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', CODE], os.environ), 0)",
    ),
}


@pytest.mark.parametrize("way", ROLES)
def test_programs_below_are_recorded_with_their_role(way: str, recorded: Recorded) -> None:
    """A Python program that is started by another one is a child with its own handlers and arguments."""
    role, action = ROLES[way]
    result = recorded(f"""
        import atexit, os, subprocess, sys
        CODE = "import atexit; atexit.register(print)"
        atexit.register(len, "")
        {action}
        """)
    assert [(child.role, child.ran, child.pid == result.pid) for child in result.children] == [(role, ["print"], False)]
    assert result.children[0].argv[1:] == ["-c", "import atexit; atexit.register(print)"]
    assert result.ran == ["len"]


def test_exec_begins_another_record_in_the_same_process(recorded: Recorded) -> None:
    """Handlers don't survive an exec: the new program is a child with the same pid and starts with none."""
    result = recorded("""
        import atexit, os, sys
        atexit.register(print)
        os.execv(sys.executable, [sys.executable, "-c", "import atexit; atexit.register(len, '')"])
        """)
    (child,) = result.children
    assert (child.role, child.pid, child.ran) == ("exec", result.pid, ["len"])
    assert (result.ran, result.skipped, result.ending) == ([], ["print"], Ending.EXEC)


MULTIPROCESSING = """
import atexit, multiprocessing, sys
def handler(): pass
def work(): atexit.register(handler)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=work)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_are_told_from_its_helpers(method: str, recorded: Recorded) -> None:
    """A worker is one by any start method; servers and trackers are helpers."""
    result = recorded(MULTIPROCESSING, method, env={"TMPDIR": "/tmp"})
    workers = [child for child in result.children if child.role == "multiprocessing"]
    assert len(workers) == 1
    assert {child.role for child in result.children} - {"multiprocessing"} <= {"helper"}
    runs = method == "spawn" or sys.version_info >= (3, 13)
    assert (workers[0].registered, workers[0].ran) == (["handler"], ["handler"] if runs else [])


def test_children_without_the_agent_are_missing(recorded: Recorded) -> None:
    """A Python that ignores the environment is no child in the record, and nothing is made up for it."""
    result = recorded("""
        import atexit, subprocess, sys
        atexit.register(print)
        subprocess.run([sys.executable, "-I", "-c", "import atexit; atexit.register(print)"])
        subprocess.run(["true"])
        """)
    assert (result.children, result.ran) == ([], ["print"])


def test_sub_interpreters_are_told_apart(recorded: Recorded) -> None:
    """Handlers of a sub-interpreter are in their process's record, with the interpreter's number."""
    result = recorded("""
        import atexit, sys
        if sys.version_info >= (3, 13):
            import _interpreters as interpreters
        else:
            import _xxsubinterpreters as interpreters
        def main(): pass
        atexit.register(main)
        number = interpreters.create()
        interpreters.run_string(number, "import atexit\\ndef sub(): pass\\natexit.register(sub)")
        interpreters.destroy(number)
        """)
    assert [(handler.name, handler.interpreter > 0) for handler in result.timeline] == [("sub", True), ("main", False)]
    assert result.children == []


# ---- what was there before us


def test_handlers_that_were_registered_before_the_agent_are_counted(recorded: Recorded, tmp_path: Path) -> None:
    """A `.pth` file of the environment runs first: its handlers are counted, run, and can be taken out."""
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    (packages,) = (tmp_path / "venv").glob("lib/*/site-packages")
    (packages / "early.py").write_text(
        "import atexit\ndef early(n): print('early', n)\n[atexit.register(early, n) for n in (1, 2)]"
    )
    (packages / "first.pth").write_text("import early")
    python = tmp_path / "venv" / "bin" / "python"
    program = "import atexit, early\ndef handler(): print('handler')\natexit.register(handler)\n"
    result = recorded(program, python=python)
    assert (result.unrecorded, result.registered, result.ran) == (2, ["handler"], ["handler"])
    assert result.stdout.splitlines() == ["handler", "early 2", "early 1"]
    result = recorded(program + "atexit.unregister(early.early)\natexit.unregister(print)\n", python=python)
    assert (result.stdout, result.unregistered, result.ran) == ("handler\n", [], ["handler"])


def test_nothing_is_unrecorded_as_a_rule(recorded: Recorded) -> None:
    """A program of its own has no handler before the agent."""
    assert recorded("import atexit; atexit.register(print)").unrecorded == 0


def test_names_bound_before_the_program_are_recorded(recorded: Recorded, script: Script) -> None:
    """`from atexit import register` in a `sitecustomize` of the user's, or at any module's top, is recorded."""
    path = script("from atexit import register, unregister, _run_exitfuncs\n", "folder/sitecustomize.py")
    program = """
        import sitecustomize
        def a(): pass
        def b(): pass
        sitecustomize.register(a)
        sitecustomize.register(b)
        sitecustomize.unregister(a)
        sitecustomize._run_exitfuncs()
        """
    result = recorded(program, env={"PYTHONPATH": str(path.parent)})
    assert (result.registered, result.unregistered, result.ran) == (["a", "b"], ["a"], ["b"])


def test_every_copy_of_the_module_is_recorded(recorded: Recorded) -> None:
    """Imported again, reloaded or made from a spec: what is registered is recorded."""
    result = recorded("""
        import atexit, importlib, sys
        first = atexit
        def one(): pass
        def two(): pass
        def three(): pass
        def four(): pass
        first.register(one)
        del sys.modules["atexit"]
        import atexit
        atexit.register(two)
        importlib.reload(atexit)
        atexit.register(three)
        sys.modules.pop("atexit")
        from atexit import register, unregister
        register(four)
        unregister(one)
        first.unregister(four)
        """)
    assert result.registered == ["one", "two", "three", "four"]
    assert (result.unregistered, result.ran) == (["one", "four"], ["three", "two"])


# ---- endings

# Which status each ending gives, and whether handlers run: measured on plain runs of CPython 3.10 to 3.15.
ENDINGS = {
    Ending.RETURN: (0, True),
    Ending.SYS_EXIT: (3, True),
    Ending.EXCEPTION: (1, True),
    Ending.SIGINT: (-signal.SIGINT, True),
    Ending.SIGTERM: (-signal.SIGTERM, False),
    Ending.SIGHUP: (-signal.SIGHUP, False),
    Ending.SIGQUIT: (-signal.SIGQUIT, False),
    Ending.SIGUSR1: (-signal.SIGUSR1, False),
    Ending.SIGKILL: (-signal.SIGKILL, False),
    Ending.OS_EXIT: (3, False),
    Ending.ABORT: (-signal.SIGABRT, False),
    Ending.SEGFAULT: (-signal.SIGSEGV, False),
    Ending.FATAL_ERROR: (-signal.SIGABRT, False),
    Ending.EXEC: (0, False),
}

TEXT = """
import atexit, sys
def first(): pass
def second(): pass
atexit.register(first)
atexit.register(second)
sys.stdout.write("the last statement\\n")
sys.stdout.flush()
"""


def function() -> None:
    import atexit
    import sys

    def first() -> None:
        pass

    def second() -> None:
        pass

    atexit.register(first)
    atexit.register(second)
    sys.stdout.write("the last statement\n")
    sys.stdout.flush()


def path(script: Script) -> Path:
    return script(TEXT)


def folder(script: Script) -> Path:
    return script(TEXT, "package/__main__.py").parent


def zipapp(script: Script) -> Path:
    file = script("").parent / "app.pyz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("__main__.py", TEXT)
    return file


FORMS: dict[str, Callable[[Script], Any]] = {
    "text": lambda script: TEXT,
    "function": lambda script: function,
    "path": path,
    "folder": folder,
    "zipapp": zipapp,
}


def test_table_of_endings_is_complete() -> None:
    """Each ending has its line in the table above."""
    assert set(ENDINGS) == set(Ending)


# A folder and a zipapp are ended as a path is, which is tried with all endings.
COMBINATIONS = [
    pytest.param(ending, form, id=f"{ending}-{form}")
    for ending in ENDINGS
    for form in FORMS
    if form not in ("folder", "zipapp") or ending in (Ending.SYS_EXIT, Ending.SIGTERM, Ending.EXCEPTION)
]


@pytest.mark.parametrize(("ending", "form"), COMBINATIONS)
def test_ending_does_what_it_says(ending: Ending, form: str, recorded: Recorded, script: Script) -> None:
    """Every form of a program ends the asked way, after its last statement, and handlers run or don't accordingly."""
    status, runs = ENDINGS[ending]
    result = recorded(FORMS[form](script), ending=ending)
    names = ["first", "second"]
    assert (result.returncode, result.ending) == (status, ending)
    assert result.stdout == "the last statement\n"
    assert (result.ran, result.skipped) == ((names[::-1], []) if runs else ([], names))


OWN = {
    "sys.exit(5)": (5, True, Ending.SYS_EXIT),
    "os._exit(6)": (6, False, Ending.OS_EXIT),
    "raise ValueError": (1, True, Ending.EXCEPTION),
    "raise KeyboardInterrupt": (-signal.SIGINT, True, Ending.SIGINT),
    "os.kill(os.getpid(), 9)": (-signal.SIGKILL, False, Ending.SIGKILL),
    "os.abort()": (-signal.SIGABRT, False, Ending.ABORT),
}


@pytest.mark.parametrize("form", ["text", "path"])
@pytest.mark.parametrize("own", OWN)
def test_what_the_program_does_itself_wins(own: str, form: str, recorded: Recorded, script: Script) -> None:
    """A program that ends itself before its last statement isn't ended the asked way, and `ending` says so."""
    text = f"import atexit, os, sys\natexit.register(print)\n{own}\n"
    result = recorded(text if form == "text" else script(text), ending=Ending.SIGTERM)
    status, runs, ending = OWN[own]
    assert (result.returncode, result.ran, result.ending) == (status, ["print"] if runs else [], ending)


@pytest.mark.parametrize("form", ["text", "path"])
def test_signal_that_is_survived_lets_the_program_return(form: str, recorded: Recorded, script: Script) -> None:
    """A program with a signal handler of its own goes on after the signal, and returns."""
    text = (
        "import atexit, signal\nsignal.signal(signal.SIGTERM, lambda *_: print('signalled'))\natexit.register(print)\n"
    )
    result = recorded(text if form == "text" else script(text), ending="SIGTERM")
    assert (result.returncode, result.stdout, result.ran, result.ending) == (
        0,
        "signalled\n\n",
        ["print"],
        Ending.RETURN,
    )


@pytest.mark.parametrize(
    "early",
    [
        "exec('x = 1')",
        "exec('x = 1', globals())",
        "exec(compile('x = 1', __file__, 'exec'))",
        "import json, runpy; runpy.run_module('this', run_name='other')",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass",
        "[x for x in range(3)]",
        "class C:\n    exec('y = 1')",
        "def f():\n    exec('z = 1', globals())\nf()",
    ],
)
def test_ending_comes_after_the_last_statement_only(early: str, recorded: Recorded, script: Script) -> None:
    """Code that is executed in between, even in the main module's namespace, isn't the end of it."""
    result = recorded(
        script(f"import atexit\n{early}\natexit.register(len, 'x')\nprint('the end')\n"), ending="sys.exit"
    )
    assert (result.returncode, result.ran) == (3, ["len"])
    assert result.stdout.endswith("the end\n")


def test_ending_of_a_path_is_that_of_its_main_process_only(recorded: Recorded, script: Script) -> None:
    """Programs below the one that is given end as they like."""
    text = "import atexit, subprocess, sys\natexit.register(print)\nprint(subprocess.run([sys.executable, '-c', 'import atexit; atexit.register(print)']).returncode, flush=True)\n"
    result = recorded(script(text), ending="SIGTERM")
    assert (result.returncode, result.stdout, result.children[0].ran) == (-signal.SIGTERM, "\n0\n", ["print"])


def test_forked_child_of_a_path_is_ended_at_most_as_the_path_is(recorded: Recorded, script: Script) -> None:
    """A forked child that comes to the end of the main module ends as that does."""
    text = "import atexit, os\natexit.register(print)\nif os.fork():\n    os.wait()\n"
    result = recorded(script(text), ending="sys.exit")
    assert (result.returncode, result.ran, result.children[0].ran) == (3, ["print"], ["print"])
