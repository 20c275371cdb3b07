"""What the record says is what happened: no more, no less, in its order."""

from __future__ import annotations

import sys
import venv
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


@pytest.mark.slow  # as test_window_grows_with_many_handlers, with more of them
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
