"""An ending does what it says, after the program's last statement, and the record tells what really happened."""

from __future__ import annotations

import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_atexit import Ending, ExitResult

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]


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
