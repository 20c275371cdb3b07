"""Handlers belong to the interpreter that registered them, and are in the record of its process."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from interpreters import others
from outcomes import Outcome, outcome_of

from pytest_atexit import ExitResult

pytestmark = pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy has no sub-interpreters")

Plainly = Callable[..., Outcome]
Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]

# Each handler says in which interpreter it runs, and its name. `create` takes "legacy" or "isolated", where that can be
# chosen, and `run` has a sub-interpreter register some handlers.
PROGRAM = """
import atexit, os, sys, threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def create(kind="legacy"):
    if sys.version_info >= (3, 13):
        return interpreters.create(kind)
    return interpreters.create(isolated=kind == "isolated") if sys.version_info >= (3, 12) else interpreters.create()

TEXT = '''
import atexit, os
def named(name):
    def handler():
        os.write(1, b"ran %d %b\\\\n" % (NUMBER, name.encode()))
        if name == "fails":
            raise ValueError("in a sub-interpreter")
    handler.__qualname__ = name
    return handler
def register(*names):
    for name in names:
        atexit.register(named(name))
'''
NUMBER = 0
exec(TEXT)

def code(number, *names, more=""):
    return f"NUMBER = {int(number)}" + TEXT + f"register(*{names})\\n{more}"

def run(number, *names, more=""):
    interpreters.run_string(number, code(number, *names, more=more))

def lives(number, *names, more=""):
    run(number, *names, more=more)
    interpreters.destroy(number)

register("first")
"""

IN_ORDER = {
    "destroyed": "lives(create(), 'a', 'b')",
    "one after the other": "for n in range(20):\n    lives(create(), f'a{n}', f'b{n}')",
    "of both kinds": "for kind in 'legacy', 'isolated':\n    lives(create(kind), 'a', 'b')",
    "in a thread": "thread = threading.Thread(target=lives, args=(create(), 'a', 'b'))\nthread.start()\nthread.join()",
    "in a handler": "number = create()\nrun(number, 'a', 'b')\natexit.register(interpreters.destroy, number)",
    "that a handler creates": "atexit.register(lambda: lives(create(), 'a', 'b'))",
    "cleared in main": "number = create()\nrun(number, 'a')\natexit._clear()\nregister('second')\ninterpreters.destroy(number)",
    "cleared": "lives(create(), 'a', more='atexit._clear()\\nregister(\"b\")')",
    "unregistered": "lives(create(), 'a', more='b = named(\"b\")\\natexit.register(b)\\natexit.unregister(b)\\nregister(\"c\")')",
    "by hand": "lives(create(), 'a', more='atexit._run_exitfuncs()\\nregister(\"b\")')",
    "failing": "lives(create(), 'a', 'fails', 'b')",
    "many": "lives(create(), 'a', more='for n in range(3000): register(str(n))')",
    "left open": "run(create(), 'a', 'b', 'c')\nregister('last')",
    "several left open": "for n in range(3):\n    run(create(), f'a{n}', f'b{n}')",
    "left open by os._exit": "run(create(), 'a')\nos._exit(3)",
    "left open by exec": "run(create(), 'a')\nif len(sys.argv) == 1:\n    os.execv(sys.executable, [sys.executable, __file__, 'again'])",
}
AT_ONCE = {
    "in threads": """
numbers = [create() for _ in range(4)]
threads = [threading.Thread(target=lives, args=(number, *(f"h{n}" for n in range(50)))) for number in numbers]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""",
    "in threads, each with its own lock": """
numbers = [create("isolated") for _ in range(4)]
threads = [threading.Thread(target=lives, args=(number, *(f"h{n}" for n in range(50)))) for number in numbers]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""",
    "of concurrent.interpreters": """
from concurrent import interpreters as modern
closed, open_ = modern.create(), modern.create()
for interpreter in closed, open_:
    interpreter.exec(code(interpreter.id, "a", "b"))
thread = closed.call_in_thread(exec, code(closed.id, "c"), {})
thread.join()
closed.close()
""",
    "of an InterpreterPoolExecutor": """
from concurrent.futures import InterpreterPoolExecutor
def work(text, name):
    import _interpreters
    exec(f"NUMBER = {_interpreters.get_current()[0]}" + text, scope := {})
    scope["register"](name)
with InterpreterPoolExecutor(2) as pool:
    list(pool.map(work, [TEXT] * 4, ["a", "b", "c", "d"]))
""",
}
SINCE = {"in threads, each with its own lock": (3, 12), "concurrent": (3, 14), "Executor": (3, 14)}


def is_known(case: str, version: tuple[int, ...]) -> bool:
    """Whether a version has what a program needs."""
    if version[:2] == (3, 11) and "thread" in case:
        return False  # it may hang where a thread ends a sub-interpreter, with or without us
    return all(version >= since for part, since in SINCE.items() if part in case)


def printed(text: str) -> list[tuple[int, str]]:
    """Returns what the handlers said: their interpreters and names."""
    return [(int(number), name) for number, name in re.findall(r"^ran (\d+) (.*)$", text, re.MULTILINE)]


def timeline(result: ExitResult) -> list[tuple[int, str]]:
    """Returns the same of what was recorded, without handlers that say nothing."""
    silent = "<lambda>", "destroy"
    records = result, *result.children
    calls = [
        call for record in records for call in record.timeline if call.origin == "program" and call.name not in silent
    ]
    return [(call.interpreter, call.name) for call in calls]


def by_interpreter(calls: list[tuple[int, str]]) -> dict[int, list[str]]:
    return {number: [name for other, name in calls if other == number] for number, _ in calls}


def names(calls: list[tuple[int, str]]) -> list[str]:
    return sorted(name for _, name in calls)


@pytest.fixture
def agree(plainly: Plainly, recorded: Recorded, script: Script) -> Callable[..., None]:
    """Holds the record of a program against what its handlers said, and what it does against a plain run of it."""

    def check(case: str, python: str = sys.executable) -> None:
        path = script(PROGRAM + {**IN_ORDER, **AT_ONCE}[case], f"{case}.py")
        plain, result = plainly([python, path]), recorded(path, python=python)
        said, calls = printed(result.stdout), timeline(result)
        assert said or "_exit" in case, case
        if case in IN_ORDER:
            assert (outcome_of(result), calls) == (plain, said), case
        else:
            assert (result.returncode, result.stderr) == (plain.status, plain.stderr), case
            assert by_interpreter(calls) == by_interpreter(said), case
            assert names(said) == names(printed(plain.stdout)), case  # any worker takes any task

    return check


TOGETHER = ["several left open", "failing", "in a handler", "in threads", *list(AT_ONCE)[1:]]


@pytest.mark.parametrize("case", [case for case in TOGETHER if is_known(case, sys.version_info)])
def test_handlers_of_sub_interpreters_are_recorded_as_they_ran(case: str, agree: Callable[..., None]) -> None:
    """Each in its interpreter and in its order, be it destroyed or left open."""
    agree(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [*IN_ORDER, *AT_ONCE])
@pytest.mark.parametrize("version", [f"3.{sys.version_info[1]}", *others()])
def test_sub_interpreters_of_every_version_are_recorded(version: str, case: str, agree: Callable[..., None]) -> None:
    """Likewise, in every version that has them."""
    if not is_known(case, tuple(map(int, version.split(".")))):
        pytest.skip("this version has no such interpreters, or hangs with them")
    agree(case, others().get(version, sys.executable))


def test_sub_interpreters_are_told_apart(recorded: Recorded, script: Script) -> None:
    """Handlers of a sub-interpreter are in their process's record, with the interpreter's number."""
    result = recorded(script(PROGRAM + "for name in 'a', 'b':\n    lives(create(), name)\n"))
    assert timeline(result) == [(1, "a"), (2, "b"), (0, "first")]
    assert [(handler.name, handler.interpreter) for handler in result.handlers] == [("first", 0), ("a", 1), ("b", 2)]
    assert result.children == []


def test_fork_is_the_end_in_a_sub_interpreter(recorded: Recorded, plainly: Plainly, script: Script) -> None:
    """Where Python allows it at all, the child dies before it can run any code: there is nothing to record of it."""
    path = script(
        PROGRAM + "lives(create(), 'a', more='try: pid = os.fork()\\nexcept RuntimeError: pass\\nelse: os.wait()')"
    )
    result = recorded(path)
    assert (result.children, timeline(result)) == ([], [(1, "a"), (0, "first")])
    assert result.stdout == plainly(path).stdout


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="brings sub-interpreters that were left open to their end")
def test_reason_of_what_is_cut_off(recorded: Recorded) -> None:
    """What comes behind the traceback that a handler prints doesn't run, and the reason says why."""
    result = recorded("""
        import atexit, os
        import _xxsubinterpreters as interpreters
        def write(*words): os.write(1, b".")
        code = "import atexit, os\\ndef h%d(): os.write(1, b'.')\\natexit.register(h%d)\\n%s"
        a, b = interpreters.create(), interpreters.create()
        interpreters.run_string(a, code % (1, 1, ""))
        interpreters.run_string(b, code % (2, 2, "def fails(): 1/0\\natexit.register(fails)"))
        atexit.register(write)
        interpreters.destroy(a)
        """)
    assert (result.ran, result.failed, result.skipped) == (["h1", "write", "fails"], ["fails"], ["h2"])
    assert result.reason == (
        "their sub-interpreter was left open: up to Python 3.11 such a one may be cut off amid its handlers"
    )
