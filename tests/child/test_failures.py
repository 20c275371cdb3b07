"""What handlers raise is recorded with them, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import ExitResult, Handler

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]


def of(result: ExitResult, name: str) -> Handler:
    """Returns the only handler of that name."""
    (handler,) = [handler for handler in result.handlers if handler.name == name]
    return handler


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
        ("__import__('subprocess').CalledProcessError(1, ['docker', 'stop'])", "subprocess.CalledProcessError", "1, ['docker', 'stop']"),
        ("type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})([print], [0] * 999)", "__main__.Odd", "<builtins.list>, <builtins.list>"),
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


def test_two_threads_that_run_handlers_at_once(recorded: Recorded) -> None:
    """A failure belongs to the handler that raised, also if another one was called since and still runs."""
    result = recorded("""
        import atexit, threading
        inside, after, over = threading.Event(), threading.Event(), threading.Event()
        def waits():
            if threading.current_thread().name == "second":
                after.set()
                over.wait()
        def fails():
            if threading.current_thread().name == "first":
                inside.set()
                after.wait()
                raise ValueError("of fails")
        def first():
            atexit._run_exitfuncs()
            over.set()
        def second():
            inside.wait()
            atexit._run_exitfuncs()
        atexit.register(waits)
        atexit.register(fails)
        threads = [threading.Thread(target=each, name=each.__name__) for each in (first, second)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        """)
    told = [(each.name, each.state) for each in result.timeline]
    assert sorted(told) == [("fails", "failed"), ("fails", "ran"), ("waits", "ran"), ("waits", "ran")]
    assert [each.name for each in result.timeline if each.exception] == ["fails"]
