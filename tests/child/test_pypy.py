"""On PyPy a program does what it does plainly, too, and the record is what happened."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interpreters import pypy
from outcomes import Outcome, outcome_of

from pytest_atexit import CapExit, ExitResult

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

pytestmark = pytest.mark.skipif(not pypy(), reason="needs PyPy 3.11: there is no pypy3 on PATH")

PROGRAMS = Path(__file__).parent.parent / "programs"
Plainly = Callable[..., Outcome]
Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]

# What PyPy does in other ways than CPython, and the agent there: frames, reports, comparisons, modules, signals.
SAME = [
    "builtins_deleted", "builtins_replaced", "callables", "faces", "faces_attributes", "forked", "frames",
    "handlers_change_registry", "hook_changes", "hook_frames", "hook_raises_frames", "hook_shows", "raising", "raising_odd",
    "raising_repr", "reimported", "signals_between_handlers", "traced_handlers", "traced_registrations",
    "unregister_equal", "unregister_raises", "waits", "wrong_arguments", "wrong_arguments_private",
]  # fmt: skip
BY_NATURE = {
    "audited_frames": "who registers is told by its frame, and Python has an audit event for each look at one",
    "recursing": "our functions count for the recursion limit",
    "traced_failures": "PyPy tells profilers of calls of built-in functions, and what makes `atexit` is one no more",
}


@pytest.mark.parametrize(
    "name",
    [
        *SAME,
        *(
            pytest.param(name, marks=pytest.mark.xfail(reason=reason, raises=AssertionError))
            for name, reason in BY_NATURE.items()
        ),
    ],
)
def test_program_ends_as_it_does_plainly(name: str, plainly: Plainly, recorded: Recorded) -> None:
    """A program's stdout, stderr and status are those of a plain run."""
    command = [pypy(), PROGRAMS / f"{name}.py"]
    plain = plainly(command)
    assert plain.stdout or plain.stderr
    assert outcome_of(recorded(command)) == plain


def test_states_of_handlers_are_told_apart(recorded: Recorded) -> None:
    """Each handler is in the lists that say what became of it, and a call by hand is none by the interpreter."""
    result = recorded(
        """
        import atexit, os
        def ran(): pass
        def fails(): raise ValueError("text") from KeyError("cause")
        def leaves(): os._exit(5)
        def skipped(): pass
        def removed(): pass
        def by_hand(): pass
        atexit.register(by_hand)
        atexit._run_exitfuncs()
        for handler in skipped, leaves, fails, removed, ran, ran, removed:
            atexit.register(handler)
        atexit.unregister(removed)
        """,
        python=pypy(),
    )
    assert [(handler.name, handler.state) for handler in result.handlers] == [
        ("by_hand", "ran"), ("skipped", "skipped"), ("leaves", "unfinished"), ("fails", "failed"),
        ("removed", "unregistered"), ("ran", "ran"), ("ran", "ran"), ("removed", "unregistered"),
    ]  # fmt: skip
    assert [handler.name for handler in result.timeline] == ["by_hand", "ran", "ran", "fails", "leaves"]
    (failed,) = [handler.exception for handler in result.handlers if handler.exception]
    assert (failed.type, failed.message) == ("ValueError", "text")
    assert "KeyError: 'cause'" in failed.traceback


def test_handler_may_be_given_by_keyword(recorded: Recorded) -> None:
    """`register` takes `func=` there, and no such keyword for the handler."""
    result = recorded(
        """
        import atexit
        def handler(*args, **kwargs): print(args, kwargs)
        assert atexit.register(func=handler, key=1) is handler
        try:
            atexit.register(handler, func=2)
        except TypeError as error:
            print(error)
        """,
        python=pypy(),
    )
    assert result.stdout == "register() got multiple values for argument 'func'\n() {'key': 1}\n"
    assert [(handler.args, handler.kwargs, handler.state) for handler in result.handlers] == [((), {"key": 1}, "ran")]


def test_what_is_equal_to_nothing_stays(recorded: Recorded) -> None:
    """`unregister` asks for `==` only: an object that says it differs from itself is not found."""
    result = recorded(
        """
        import atexit
        class Never:
            def __eq__(self, other): return False
            def __call__(self): pass
        never = Never()
        atexit.register(never)
        atexit.unregister(never)
        """,
        python=pypy(),
    )
    assert [handler.state for handler in result.handlers] == ["ran"]


def test_failure_that_is_not_reported_is_recorded(recorded: Recorded) -> None:
    """Where the interpreter can't make its report, no hook is called; that the handler failed is known all the same."""
    result = recorded(
        """
        import atexit, builtins
        def fails(): raise ValueError("text")
        atexit.register(fails)
        del builtins.tuple
        """,
        python=pypy(),
    )
    assert "Exception ignored on building sys.unraisablehook arguments" in result.stderr
    assert [(handler.state, handler.exception and handler.exception.message) for handler in result.handlers] == [
        ("failed", "text")
    ]


def test_order_of_registrations_holds_amid_signals(recorded: Recorded) -> None:
    """What a signal handler registers amid others has its place: handlers run in the reversed order of the record."""
    result = recorded(
        """
        import atexit, signal
        def handler(): pass
        signal.signal(signal.SIGALRM, lambda *_: atexit.register(handler))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for number in range(3000):
            atexit.register(handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
        python=pypy(),
    )
    numbers = [handler.number for handler in result.timeline]
    assert len(numbers) > 3000
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("env", [{}, {"PYTHONPYCACHEPREFIX": "prefix"}])
def test_descendants_load_the_agent_from_its_source(env: dict[str, str], recorded: Recorded, script: Script) -> None:
    """A program starts a PyPy for which no bytecode lies ready: it is recorded in the same way."""
    child = script(
        """
        import atexit, os, sys
        def fails(): raise ValueError
        atexit.register(os._exit, 0)
        atexit.register(fails)
        atexit.register(print, "child", flush=True)
        """,
        "child.py",
    )
    command = [pypy(), str(child)]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    result = recorded(f"import subprocess; subprocess.run({command}, check=True)", env=env)
    (record,) = result.children
    assert (record.ran, record.failed, record.unfinished) == (["print", "fails", "_exit"], ["fails"], ["_exit"])
    assert plain.stdout == result.stdout == "child\n"


def test_commands_are_answered(capexit: CapExit, fp: FakeProcess) -> None:
    """PyPy shows no frames of ours, so what calls a function of `os` is found in another way."""
    fp.register(["docker", fp.any()], stdout="said", occurrences=4)
    program = """
import atexit, os, subprocess
atexit.register(os.execlp, "docker", "docker", "exec")
print(subprocess.getoutput("docker run"), os.popen("docker popen").read(), flush=True)
os.spawnlp(os.P_WAIT, "docker", "docker", "spawn")
"""
    fp.register("docker run", stdout="said")
    result = capexit.run(program, fp=fp, python=pypy())
    assert result.stdout == "said said\nsaidsaid"
    assert [command.command[1] for command in result.commands] == ["run", "popen", "spawn", "exec"]
