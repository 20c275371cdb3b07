"""All that is done at exit is on one timeline, in true order: what is recorded is held against what a program says."""

from __future__ import annotations

import re
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import ExitResult, HandlerFailed, ProgramTimeout

Recorded = Callable[..., ExitResult]
SAY = """
import atexit, multiprocessing.util, os, sys, threading, time, weakref
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
class Target: pass
target = Target()
"""

ALL_KINDS = (
    SAY
    + """
def handler(): say("handler")
def callback(): say("callback")
def finalizer(): say("finalizer")
def process_finalizer(): say("process_finalizer")
def late_finalizer(): say("late_finalizer")
def wait():
    threading.main_thread().join()  # which is over when the interpreter begins to wait for threads
    say("worker")
def begin(): say("begin")
multiprocessing.util.Finalize(None, late_finalizer, exitpriority=-5)
multiprocessing.util.Finalize(None, process_finalizer, exitpriority=10)
weakref.finalize(target, finalizer)
threading._register_atexit(begin)
threading._register_atexit(callback)
atexit.register(handler)
threading.Thread(target=wait, name="worker").start()
"""
)


def said(result: ExitResult) -> list[str]:
    """Returns the first word of each line on stdout."""
    return [line.split()[0] for line in result.stdout.splitlines()]


def own(result: ExitResult) -> list[tuple[str, str]]:
    """Returns kind and name of what is on the timeline, without what the standard library itself does."""
    return [(each.kind, each.name) for each in result.timeline if each.origin == "program"]


def test_timeline_has_every_kind_in_true_order(recorded: Recorded) -> None:
    """Callbacks of threading, then threads, then handlers, with finalizers where their handler is."""
    result = recorded(ALL_KINDS)
    assert [name for _, name in own(result)] == said(result)
    assert own(result) == [
        ("threading", "callback"),
        ("threading", "begin"),
        ("thread", "worker"),
        ("atexit", "handler"),
        ("finalize", "finalizer"),
        ("multiprocessing", "process_finalizer"),
        ("multiprocessing", "late_finalizer"),
    ]
    assert {each.state for each in result.timeline} == {"ran"}
    result.assert_order("callback", "begin", "worker", "handler", "finalizer", "process_finalizer", "late_finalizer")
    assert result.ran == ["handler"]
    assert [each.priority for each in result.timeline if each.kind == "multiprocessing"] == [10, -5]


def test_modules_that_were_imported_before_the_agent_are_covered(recorded: Recorded, tmp_path: Path) -> None:
    """A `.pth` file of the environment may import them: what the program has done at exit is recorded all the same."""
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    (packages,) = (tmp_path / "venv").glob("lib/*/site-packages")
    (packages / "early.pth").write_text(
        "import multiprocessing.util, threading, weakref; weakref.finalize(threading, id, 0)\n"
    )
    result = recorded(ALL_KINDS, python=tmp_path / "venv" / "bin" / "python")
    assert result.unrecorded > 0
    assert [name for _, name in own(result)] == said(result)
    assert len(said(result)) == len({*said(result)}) == 7


def test_registered_work_is_among_the_handlers(recorded: Recorded) -> None:
    """In registration order, with the line that registered it; lists of names have handlers of atexit only."""
    result = recorded(ALL_KINDS)
    registered = [each for each in result.handlers if each.origin == "program"]
    assert [each.name for each in registered] == [
        "late_finalizer", "process_finalizer", "finalizer", "begin", "callback", "handler"
    ]  # fmt: skip
    lines = ALL_KINDS.splitlines()
    for each in registered:
        assert re.search(rf"\b{each.name}\b", lines[int(each.where.rpartition(":")[2]) - 1])
    assert result.registered == ["handler"]


def test_phase_tells_the_part_of_the_exit(recorded: Recorded) -> None:
    """Callbacks and threads come before handlers, and exceptions of `__del__` after them."""
    result = recorded(
        ALL_KINDS
        + """
class Cache:
    def __del__(self): raise OSError("in a handler")
atexit.register(Cache)
""",
        allow_failures=True,
    )
    phases = {each.name: each.phase for each in result.timeline}
    assert [phases[name] for name in ("callback", "worker", "handler", "finalizer")] == ["threading"] * 2 + [
        "atexit"
    ] * 2
    assert phases["Cache.__del__"] == "atexit"


def test_exception_in_the_teardown_is_recorded(recorded: Recorded) -> None:
    """Nothing else is needed for that: the program registers nothing, and imports nothing."""
    result = recorded(
        "class Cache:\n    def __del__(self): raise OSError('gone')\ncache = Cache()", allow_failures=True
    )
    (ignored,) = result.timeline
    assert (ignored.kind, ignored.name, ignored.phase) == ("unraisable", "Cache.__del__", "teardown")
    assert "OSError: gone" in result.stderr


@pytest.mark.parametrize("ending", ["SIGKILL", "os._exit", "SIGTERM"])
def test_work_that_is_left_out_is_skipped(recorded: Recorded, ending: str) -> None:
    """It was registered and not done: a test can say so, which would not be so for an unknown name."""
    result = recorded(ALL_KINDS.replace("threading.Thread", "daemon = threading.Thread"), ending=ending)
    states = {each.name: each.state for each in result.handlers if each.origin == "program"}
    assert {*states.values()} == {"skipped"}
    assert {*states} == {"late_finalizer", "process_finalizer", "finalizer", "begin", "callback", "handler"}
    result.assert_not_ran("callback", "finalizer", "process_finalizer", "handler", by=ending)
    assert own(result) == []
    assert result.skipped == ["handler"]


def test_thread_for_which_the_interpreter_waits_in_vain_is_named(recorded: Recorded) -> None:
    """It is unfinished on the timeline, and nothing comes after it."""
    with pytest.raises(ProgramTimeout) as caught:
        recorded(SAY + "threading.Thread(target=threading.Event().wait, name='stuck').start()", timeout=1)
    result = caught.value.result
    assert result is not None
    assert [(each.kind, each.name, each.state) for each in result.timeline] == [("thread", "stuck", "unfinished")]
    assert "stuck" in str(result)


def test_daemons_and_threads_that_are_over_are_not_waited_for(recorded: Recorded) -> None:
    """Only what the interpreter waits for is on the timeline."""
    result = recorded(
        SAY
        + """
over = threading.Thread(target=say, args=("over",))
over.start()
over.join()
threading.Thread(target=threading.Event().wait, daemon=True).start()
atexit.register(say, "handler")
"""
    )
    assert own(result) == [("atexit", "say")]


FAILING = {
    "threading": ("threading._register_atexit(fails)", "fails"),
    "thread": (
        "threading.Thread(target=lambda: (threading.main_thread().join(), fails()), name='fails').start()",
        "fails",
    ),
    "finalize": ("weakref.finalize(target, fails)", "fails"),
    "multiprocessing": ("multiprocessing.util.Finalize(None, fails, exitpriority=1)", "fails"),
    "unraisable": ("atexit.register(type('Cache', (), {'__del__': lambda self: fails()}))", "<lambda>"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_what_is_raised_by_any_kind_is_a_failure(recorded: Recorded, kind: str) -> None:
    """Python ignores it: the exit code stays 0. A test doesn't."""
    program = SAY + "def fails(): raise KeyError('missing')\n" + FAILING[kind][0]
    with pytest.raises(HandlerFailed, match="raised an exception, which Python itself ignores") as caught:
        recorded(program, allow_failures=False)
    result = caught.value.result
    assert result is not None
    assert result.returncode == 0
    (failed,) = [each for each in result.timeline if each.state == "failed"]
    assert (failed.kind, failed.name) == (kind, FAILING[kind][1])
    result.assert_failed(failed.name, KeyError, match="missing")
    assert "KeyError: 'missing'" in result.stderr  # as the program itself says


def test_thread_that_raises_before_the_interpreter_waits_for_it(recorded: Recorded) -> None:
    """If it is over by then, an exception was ignored; if not, for what handles it lasts, the thread has failed."""
    for lasts in False, True:
        result = recorded(
            SAY
            + """
go, inside = threading.Event(), threading.Event()
def hook(arguments):
    inside.set()
    if LASTS: threading.main_thread().join()  # which is over when the interpreter begins to wait for threads
def fails():
    go.wait()
    raise ValueError("early")
def callback():
    go.set()
    inside.wait()
    LASTS or worker.join()
threading.excepthook = hook
threading._register_atexit(callback)
worker = threading.Thread(target=fails, name="worker")
worker.start()
""".replace("LASTS", str(lasts))
        )
        told = [(each.kind, each.name, each.state) for each in result.timeline if each.name == "worker"]
        assert told == [("thread" if lasts else "unraisable", "worker", "failed")]
        result.assert_failed("worker", ValueError, match="early")


def test_interrupt_while_the_interpreter_waits_is_an_ignored_exception(recorded: Recorded) -> None:
    """It ends the waiting, so the thread is unfinished, and handlers run."""
    result = recorded(
        SAY
        + """
import signal
arrived = threading.Event()
def once(signum, frame):
    if not arrived.is_set():
        arrived.set()
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, once)
def interrupts():
    threading.main_thread().join()
    while not arrived.wait(0.01):  # a signal that comes just before the waiting doesn't interrupt it
        os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()
threading.Thread(target=interrupts, name="interrupts").start()
atexit.register(say, "handler")
""",
        allow_failures=True,
    )
    told = [(each.kind, each.state) for each in result.timeline]
    assert told[:3] == [("thread", "unfinished"), ("unraisable", "failed"), ("atexit", "ran")]
    assert said(result) == ["handler"]
    assert "KeyboardInterrupt" in result.stderr
    result.assert_failed(result.timeline[1].name, KeyboardInterrupt)


def test_exception_of_a_callback_skips_the_others_and_the_threads(recorded: Recorded) -> None:
    """As Python does it; handlers run all the same."""
    result = recorded(
        SAY
        + """
def fails(): raise ValueError
def callback(): pass
threading._register_atexit(callback)
threading._register_atexit(fails)
threading.Thread(target=threading.Event().wait).start()
atexit.register(say, "handler")
""",
        allow_failures=True,
    )
    assert own(result) == [("threading", "fails"), ("atexit", "say")]
    result.assert_failed("fails", ValueError)
    result.assert_not_ran("callback")


def test_exception_that_ends_a_finalizer_and_its_handler_is_both_ones(recorded: Recorded) -> None:
    """SystemExit is not caught between them."""
    result = recorded(
        SAY
        + """
def finalizer(): pass
def leaves(): sys.exit(3)
weakref.finalize(target, finalizer)
weakref.finalize(target, leaves)
""",
        allow_failures=True,
    )
    result.assert_failed("leaves", SystemExit)
    result.assert_failed("finalize._exitfunc", SystemExit)
    result.assert_not_ran("finalizer")


def test_finalizers_that_are_over_before_the_exit_are_not_on_the_timeline(recorded: Recorded) -> None:
    """Called for their object's death or by hand, detached, cancelled, or not to be called at exit."""
    result = recorded(
        SAY
        + """
def over(): pass
def runs(): pass
other = Target()
weakref.finalize(other, over)
weakref.finalize(target, over)()
weakref.finalize(target, over).detach()
weakref.finalize(target, over).atexit = False
weakref.finalize(target, runs)
del other
multiprocessing.util.Finalize(None, over, exitpriority=1)()
multiprocessing.util.Finalize(None, over, exitpriority=1).cancel()
multiprocessing.util.Finalize(target, over)
"""
    )
    assert [name for _, name in own(result)] == ["runs"]
    assert [each.state for each in result.handlers if each.name == "over"] == ["unregistered"] * 6


def test_finalizer_that_is_to_be_called_at_exit_again_is(recorded: Recorded) -> None:
    """Its attribute `atexit` can be changed at any time."""
    result = recorded(
        SAY
        + """
def finalizer(): say("finalizer")
later = weakref.finalize(target, finalizer)
later.atexit = False
later.atexit = True
"""
    )
    assert [name for _, name in own(result)] == said(result) == ["finalizer"]


def test_fork_inherits_all_kinds(recorded: Recorded) -> None:
    """A forked child that ends as its parent does the same work, which is inherited there."""
    result = recorded(
        SAY
        + """
def finalizer(): say("finalizer", os.getpid())
def callback(): say("callback", os.getpid())
weakref.finalize(target, finalizer)
threading._register_atexit(callback)
if os.fork():
    os.wait()
"""
    )
    (child,) = result.children
    for record in result, child:
        names = [each.name for each in record.timeline if each.kind in ("threading", "finalize")]
        assert names == [line.split()[0] for line in result.stdout.splitlines() if line.endswith(f" {record.pid}")]
        assert names == ["callback", "finalizer"]
    assert {each.inherited for each in child.timeline} == {True}


def test_ignored_exceptions_before_the_exit_are_not_part_of_it(recorded: Recorded) -> None:
    """Also where the program audits, and ours is beside its hook from then on."""
    result = recorded(
        SAY
        + """
class Cache:
    def __del__(self): raise OSError(self.where)
sys.addaudithook(lambda event, arguments: None)
cache = Cache(); cache.where = "before"
del cache
def deletes():
    Cache().where = "at exit"
atexit.register(deletes)
""",
        allow_failures=True,
    )
    assert [line for line in result.stderr.splitlines() if line.startswith("OSError")] == [
        "OSError: before",
        "OSError: at exit",
    ]
    assert [each.exception.message for each in result.timeline if each.kind == "unraisable"] == ["at exit"]


def test_ignored_exceptions_after_a_run_by_hand_are_not_part_of_the_exit(recorded: Recorded) -> None:
    """`atexit._run_exitfuncs` is not the exit."""
    result = recorded(
        SAY
        + """
class Cache:
    def __del__(self): raise OSError("gone")
atexit.register(say, "handler")
atexit._run_exitfuncs()
Cache()
atexit.register(say, "handler")
"""
    )
    assert "OSError: gone" in result.stderr
    assert not [each for each in result.timeline if each.kind == "unraisable"]


def test_program_pays_for_no_module_that_it_does_not_import(recorded: Recorded) -> None:
    """What other kinds belong to is watched only once the program itself imports it."""
    result = recorded("import atexit, sys; atexit.register(print, *sorted({'threading', 'weakref'} & {*sys.modules}))")
    assert result.stdout == "\n"


@pytest.mark.skipif(sys.version_info < (3, 15), reason="waits for threads again from 3.15 on")
def test_thread_of_a_handler_is_waited_for(recorded: Recorded) -> None:
    """Then the interpreter goes round again: the thread, and what it registers."""
    result = recorded(
        SAY
        + """
def late(): say("late")
def worker():
    while sys._current_frames()[threading.main_thread().ident].f_code.co_name != "_shutdown":
        time.sleep(0.001)  # until the interpreter waits again
    say("worker")
    atexit.register(late)
def handler():
    say("handler")
    threading.Thread(target=worker, name="worker").start()
atexit.register(handler)
"""
    )
    assert [name for _, name in own(result)] == said(result)


def test_a_callback_of_a_program_without_atexit(same: Callable[..., ExitResult], script: Callable[..., Path]) -> None:
    """`threading` needs no `atexit`."""
    program = "import threading\nthreading._register_atexit(print, 'called')\n"
    result = same(script(program))
    assert [(each.kind, each.name) for each in result.timeline] == [("threading", "print")]


def test_many_finalizers_that_are_cleared_at_once_are_unregistered(recorded: Recorded) -> None:
    """Each of them: a worker of multiprocessing begins so, in the little room that its parent left it."""
    result = recorded("""
        import multiprocessing.util, os
        for _ in range(1_000):
            multiprocessing.util.Finalize(None, print, exitpriority=1)
        if not os.fork():
            multiprocessing.util._finalizer_registry.clear()
            os._exit(0)
        os.wait()
        multiprocessing.util._finalizer_registry.clear()
        """)
    for record in (result, *result.children):
        cleared = [each.state for each in record.handlers if each.kind == "multiprocessing"]
        assert cleared == ["unregistered"] * 1_000
