"""atexit_registry: a registry of the test's own, in this process."""

import atexit
import contextlib
import functools
import gc
import importlib
import logging
import os
import pickle
import subprocess
import sys
import threading
import weakref
from atexit import _clear, _ncallbacks, _run_exitfuncs, register, unregister
from types import SimpleNamespace

import pytest

from pytest_atexit import AtexitRegistry, LaunchError, ProcessRecord, UnknownHandler
from pytest_atexit._registry._functions import Functions


@pytest.fixture
def called():
    """What handlers have appended."""
    return []


@pytest.fixture
def reports(monkeypatch):
    """What `sys.unraisablehook` was told."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    return told


@pytest.fixture
def registry():
    """Opens further registries, and closes them."""
    with contextlib.ExitStack() as stack:

        def opened():
            made = AtexitRegistry([os.path.dirname(__file__)])
            stack.callback(made.close)
            return made

        yield opened


def test_it_records_what_run_does(atexit_registry, called):
    """Names bound before the fixture register, too; the record is that of a run in a child."""

    def close(name, *, times=1):
        called.append((name, times))

    line = sys._getframe().f_lineno
    assert register(close, "db", times=2) is close
    atexit.register(close, "log")
    assert called == []
    record = atexit_registry.run()
    assert called == [("log", 1), ("db", 2)]
    assert isinstance(record, ProcessRecord)
    assert record.ran == ["close", "close"]
    assert record.registered == atexit_registry.registered == ["close", "close"]
    assert (record.pid, record.role, record.skipped, record.unrecorded) == (os.getpid(), "main", [], 0)
    first, second = record.handlers
    assert (first.number, first.args, first.kwargs, first.origin) == (1, ("db",), {"times": 2}, "program")
    assert first.where == f"tests/acceptance/{os.path.basename(__file__)}:{line + 1}"
    assert second.where.endswith(f":{line + 2}")
    assert first.qualname == "test_it_records_what_run_does.<locals>.close"
    assert [handler.number for handler in record.timeline] == [2, 1]
    assert 0 < second.started <= second.finished <= first.started
    assert (first.phase, first.thread, first.state) == ("atexit", "MainThread", "ran")


def test_the_assertions_are_those_of_a_run(atexit_registry):
    """They hold, and fail, as with a program."""

    def close(): ...
    def flush(): ...

    register(close)
    register(flush)
    register(close)
    unregister(flush)
    record = atexit_registry.run()
    record.assert_ran("close", times=2)
    record.assert_unregistered("flush")
    record.assert_not_ran("flush")
    with pytest.raises(AssertionError, match=r"^close did not run exactly once\n"):
        record.assert_ran_once("close")
    with pytest.raises(UnknownHandler, match="Did you mean 'close'"):
        record.assert_ran("clos")


def test_without_handlers_nothing_passes(atexit_registry):
    """A test that has registered nothing proves nothing."""
    with pytest.raises(AssertionError, match="there is nothing to check"):
        atexit_registry.run().assert_no_duplicates()


def test_handlers_before_the_test_stay_out(registry, called):
    """Those of an outer registry are neither run, counted, taken out nor seen, and are there afterwards."""
    outer = registry()
    register(called.append, "outer")
    inner = registry()
    assert _ncallbacks() == 0
    register(called.append, "inner")
    unregister(called.append)
    _clear()
    register(called.append, "last")
    assert inner.run().ran == ["list.append"]
    assert outer.registered == ["list.append"]
    inner.close()
    assert _ncallbacks() == 1
    assert outer.run().ran == ["list.append"]
    assert called == ["last", "outer"]


def test_the_process_has_its_registry_back(called):
    """What was registered is gone; the interpreter's own count is as it was, and its functions are themselves again."""
    before, module = _ncallbacks(), register.__self__ if sys.implementation.name == "cpython" else None
    registry = AtexitRegistry([])
    register(called.append, 1)
    assert _ncallbacks() == 1
    registry.close()
    assert _ncallbacks() == before
    atexit.register(len, "x")
    assert _ncallbacks() == before + 1
    unregister(len)
    if module:
        assert register.__self__ is module is atexit


def test_functions_act_on_the_registry(atexit_registry, called):
    """`_ncallbacks`, `_clear` and `_run_exitfuncs`, by names bound before."""
    register(called.append, 1)
    register(called.append, 2)
    assert _ncallbacks() == 2
    assert _clear() is None
    assert _ncallbacks() == 0
    register(called.append, 3)
    assert _run_exitfuncs() is None
    assert called == [3]
    assert _ncallbacks() == 0
    record = atexit_registry.run()
    assert record.ran == ["list.append"]
    assert record.unregistered == ["list.append", "list.append"]


def test_they_look_and_fail_as_ever(atexit_registry):
    """Names, pickles, decorators and errors are those of the functions themselves."""
    assert pickle.loads(pickle.dumps(register)) is register
    assert register is atexit.register
    assert repr(register) == "<built-in function register>"

    @register
    def close(): ...

    assert close.__name__ == "close"
    script = ERRORS + "\nfor text in errors(): print(text)"
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    space = {}
    exec(ERRORS, space)
    assert [*space["errors"]()] == plain.splitlines()
    assert len(plain.splitlines()) == 8
    assert atexit_registry.registered == ["close"]


ERRORS = """
from atexit import _clear, _ncallbacks, _run_exitfuncs, register, unregister

def errors():
    for call in (
        register,
        lambda: register(1),
        unregister,
        lambda: unregister(1, 2),
        lambda: unregister(x=1),
        lambda: _clear(1),
        lambda: _ncallbacks(x=1),
        lambda: _run_exitfuncs(1),
    ):
        try:
            call()
        except TypeError as error:
            yield str(error)
"""


FAILURES = """
import sys, types

class Handler:
    def __call__(self): raise OSError("disk full")
    def __repr__(self): return "<the handler>"

class Nameless(Handler):
    def __repr__(self): raise ValueError

def leaves(): sys.exit(7)
def deep():
    try:
        {}["x"]
    except KeyError as error:
        raise RuntimeError("no x") from error
def interrupted(): raise KeyboardInterrupt
def seen(unraisable):
    steps, step = [], unraisable.exc_traceback
    while step:
        steps.append(step.tb_frame.f_code.co_name)
        step = step.tb_next
    about = unraisable.object and type(unraisable.object).__name__
    text = unraisable.err_msg and unraisable.err_msg.split(" at 0x")[0]
    print(unraisable.exc_type.__name__, unraisable.exc_value, steps, text, about)
handlers = [leaves, deep, interrupted, Handler(), Nameless(), len]
def use(register):
    for handler in handlers:
        register(handler)
"""


def test_failures_are_recorded_and_reported(atexit_registry, reports):
    """Nothing comes out of `run`; each is in the record with its traceback, and reported; the others run."""

    def flush():
        raise OSError("disk full")

    def leave():
        sys.exit(3)

    register(flush)
    register(leave)
    register(len, "x")
    record = atexit_registry.run()
    assert record.ran == ["len", "leave", "flush"]
    assert record.failed == ["leave", "flush"]
    record.assert_failed("flush", OSError, match="disk full")
    record.assert_failed("leave", SystemExit)
    traceback = record.timeline[2].exception.traceback.splitlines()
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[1].endswith("in flush")
    assert [report.exc_type for report in reports] == [SystemExit, OSError]


def test_reports_are_those_of_a_plain_run(atexit_registry, monkeypatch, capsys):
    """The hook gets the same message, object and traceback."""
    script = FAILURES + "\nimport atexit\nsys.unraisablehook = seen\nuse(atexit.register)"
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    space = {"__name__": "__main__"}
    exec(compile(FAILURES, "<string>", "exec"), space)
    monkeypatch.setattr(sys, "unraisablehook", space["seen"])
    space["use"](register)
    atexit_registry.run()
    assert capsys.readouterr().out == plain
    assert plain.count("\n") == 6


def test_a_hook_that_raises(atexit_registry, monkeypatch, capsys):
    """That is reported by the interpreter's own hook, and the other handlers run."""

    def hook(unraisable):
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "unraisablehook", hook)
    register(print, "later")
    register(len)
    assert atexit_registry.run().ran == ["len", "print"]
    written = capsys.readouterr()
    assert written.out == "later\n"
    assert "Exception ignored in sys.unraisablehook" in written.err
    assert "ZeroDivisionError" in written.err


def test_run_is_as_at_exit(atexit_registry, called):
    """Handlers that register, unregister and run again do what they do in the interpreter; a second run has nothing."""

    def late(): ...

    def first():
        called.append("first")

    def last():
        register(late)

    register(first)
    register(last)
    record = atexit_registry.run()
    assert record.ran == ["last", "first"]
    assert record.skipped == ["late"]
    assert atexit_registry.run().ran == ["last", "first"]
    register(first)
    assert atexit_registry.run().ran == ["last", "first", "first"]
    assert called == ["first", "first"]
    assert record.ran == ["last", "first"]


def test_threads(atexit_registry):
    """Handlers that many threads register at once are all there, each with its thread."""
    start = threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(200):
            register(len, "x")

    threads = [threading.Thread(target=work, name=f"worker {n}") for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _ncallbacks() == 1600
    record = atexit_registry.run()
    assert len(record.ran) == 1600
    assert {handler.thread for handler in record.handlers} == {thread.name for thread in threads}
    assert [handler.number for handler in record.handlers] == [*range(1, 1601)]


def test_a_thread_may_register_by_itself(atexit_registry):
    """A function of `atexit` as the target of a thread: it is the test's handler, though the caller is `threading`."""

    def close(): ...

    thread = threading.Thread(target=register, args=(close,))
    thread.start()
    thread.join()
    assert atexit_registry.run().ran == ["close"]


def test_names_are_those_of_a_program(atexit_registry):
    """Partials, methods, objects, lambdas, classes and arguments of all kinds are shown as in a child."""

    class Closer:
        def close(self): ...
        def __call__(self): ...

    def close(*args): ...

    closer = Closer()
    register(functools.partial(close, 1))
    register(closer.close)
    register(closer)
    register(lambda: None)
    register(Closer)
    register(functools.lru_cache(close))
    register(print, "x" * 2000, closer, [1, {"a": (None, b"b")}], file=sys.stderr)
    names = ["partial(close)", "Closer.close", "Closer", "<lambda>", "Closer", "close", "print"]
    assert [handler.name.rpartition("<locals>.")[2] for handler in atexit_registry.handlers] == names
    last = atexit_registry.handlers[-1]
    assert last.args[0] == "x" * 1000 + "… (2000 characters)"
    assert str(last.args[1]).endswith("Closer>")
    assert last.args[2] == [1, {"a": (None, b"b")}]
    assert str(last.kwargs["file"]).startswith("<")
    _clear()


def test_nothing_is_asked(atexit_registry):
    """No code of handlers, arguments or of their classes runs when they are registered or recorded."""

    class Asks(type):
        """A class of classes that don't want to be asked."""

        def __getattribute__(cls, name):
            raise SystemExit(name)

        def __eq__(cls, other):
            raise SystemExit("==")

        __hash__ = type.__hash__

    class Asked(metaclass=Asks):
        """An object that doesn't want to be asked: nothing but a call is its own affair."""

        def __getattribute__(self, name):
            raise SystemExit(name)

        def __bool__(self):
            raise SystemExit("bool")

        def __call__(self, *args, **kwargs): ...

        __eq__ = __repr__ = __len__ = __iter__ = __bool__
        __hash__ = None

    asked = object.__new__(Asked)
    register(asked, asked, [asked], Asked, key=asked)
    register(Asked)
    record = atexit_registry.run()
    assert record.ran == ["Asked", "Asked"]
    name = f"{__name__}.test_nothing_is_asked.<locals>."
    first, second = record.handlers
    assert str(first.args) == f"(<{name}Asked>, [<{name}Asked>], <{name}Asks>)"
    assert (first.state, second.state) == ("ran", "ran")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy has no functions in C")
def test_names_of_functions_in_c(atexit_registry):
    """Methods of built-in types have the names that they have in the record of a program."""
    for handler in (str.upper, "x".__str__, dict.fromkeys, functools.partial((1).__truediv__, 1)):
        register(handler)
    names = ["str.upper", "str.__str__", "dict.fromkeys", "partial(int.__truediv__)"]
    assert atexit_registry.registered == names


class Empty(Exception):
    """An exception that is false, as a collection of failures may be."""

    def __len__(self):
        return 0


class Speechless(Exception):
    def __str__(self):
        raise SystemExit(3)


@pytest.mark.parametrize("error", [Empty("text"), Speechless("text"), GeneratorExit("text")])
def test_odd_exceptions(atexit_registry, reports, error):
    """An exception that is false, one whose text leaves, and one that is no Exception are recorded like any other."""

    def fail():
        raise error

    register(fail)
    atexit_registry.run().assert_failed("fail", type(error), match="text")
    assert [report.exc_value for report in reports] == [error]


def test_the_hook_is_called_when_nothing_is_handled(atexit_registry, monkeypatch):
    """As at an exit, `sys.exc_info` knows nothing of what the handler raised, and a handler's `repr` may leave."""

    class Fails:
        def __call__(self):
            raise OSError("disk full")

        def __repr__(self):
            sys.exit(3)

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: told.append((report.exc_type, sys.exc_info())))
    register(Fails())
    atexit_registry.run()
    assert told == [(OSError, (None, None, None))]


def test_nothing_is_kept(registry):
    """Handlers and arguments die after the test, called or not, and so does what they raised, if a registry is kept."""

    class Closer:
        def close(self, other): ...
        def fail(self, other):
            raise OSError(other)

    def use():
        closers = [Closer() for _ in range(6)]
        register(closers[0].close, closers[1])
        register(closers[2].fail, closers[3])
        opened.run()
        register(closers[4].close, closers[5])
        return [weakref.ref(closer) for closer in closers]

    opened = registry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)
        references = use()
    opened.close()
    gc.collect()
    assert [reference() for reference in references] == [None] * 6
    assert opened.registered == ["Closer.close", "Closer.fail", "Closer.close"]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy's other module has a list of its own")
def test_a_module_imported_anew_within_a_test(registry, called, monkeypatch):
    """It acts on the registry at once, and on the interpreter's own again after the test."""
    before, opened = _ncallbacks(), registry()
    monkeypatch.delitem(sys.modules, "atexit")
    second = importlib.import_module("atexit")
    assert second is not atexit
    second.register(called.append, 1)
    register(called.append, 2)
    assert opened.run().ran == ["list.append", "list.append"]
    assert called == [2, 1]
    opened.close()
    assert second._ncallbacks() == before
    assert second.register.__self__ is second


def test_what_the_standard_library_registers_for_itself_stays_out(called):
    """It does that once, at its first use, and relies on it for the whole process."""
    weakref.finalize(lambda: None, print)
    before = _ncallbacks()
    registry = AtexitRegistry([])
    try:
        exec(compile("register(shutdown)", logging.__file__, "exec"), vars(logging) | {"register": register})
        weakref.finalize(lambda: None, print)
        register(called.append, 1)
        assert registry.run().ran == ["list.append"]
        assert [handler.name for handler in registry.handlers] == ["list.append"]
    finally:
        registry.close()
    try:
        assert _ncallbacks() == before + 1
    finally:
        unregister(logging.shutdown)
        register(logging.shutdown)


def test_an_outcome_is_not_changed_by_what_is_left(inner):
    """Whatever a test has registered is gone after it, also when it fails."""
    result = inner(
        """
        import atexit, os
        from atexit import register
        before = atexit._ncallbacks()
        def test_leaves(atexit_registry):
            register(os._exit, 7)
            assert 0
        def test_after(atexit_registry):
            assert atexit._ncallbacks() == 0
            assert atexit_registry.handlers == []
        def test_without():
            assert atexit._ncallbacks() == before
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    assert "1 failed, 2 passed" in result.stdout.lines[-1]


def test_a_module_imported_anew(registry, called):
    """Another atexit module acts on the next registry, too, and so does the first one."""
    first = sys.modules.pop("atexit")
    try:
        second = importlib.import_module("atexit")
        opened = registry()
        first.register(called.append, 1)
        second.register(called.append, 2)
    finally:
        sys.modules["atexit"] = first
    assert opened.run().ran == ["list.append", "list.append"]
    assert called == [2, 1]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="needs a function that can be put in the place")
def test_somebody_else_stands_in(inner):
    """Where a mock stands in the place of a function, the error says so."""
    result = inner(
        """
        import atexit
        from unittest import mock
        import pytest

        @pytest.fixture
        def mocked():
            with mock.patch("atexit.register"):
                yield

        def test_it(mocked, atexit_registry): pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E  *LaunchError: atexit has <MagicMock*which somebody has put in the place of*"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("_is_gil_enabled", lambda: False, "without the GIL"),
        ("implementation", SimpleNamespace(name="graalpy"), "on graalpy"),
    ],
)
def test_where_it_cannot_be_had(monkeypatch, name, value, message):
    """It is an error that says so, and never a registry that doesn't hold."""
    if sys.implementation.name != "cpython":
        pytest.skip("PyPy always has a GIL")
    monkeypatch.setattr(sys, name, value, raising=False)
    before = _ncallbacks()
    with pytest.raises(LaunchError, match=message):
        Functions().come(None)
    monkeypatch.undo()
    assert _ncallbacks() == before


def test_nothing_registered_is_told_of_the_test(atexit_registry):
    """The process may have handlers of its own, which are none of this registry's."""
    record = atexit_registry.run()
    with pytest.raises(UnknownHandler, match="No handler was registered by this test"):
        record.assert_ran("close")
    with pytest.raises(AssertionError, match="no handler was registered by this test, so there is nothing to check"):
        record.assert_no_duplicates()
