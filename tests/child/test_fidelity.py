"""With the agent a program does what it does without: the same output, byte for byte, and the same status."""

from __future__ import annotations

import re
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from outcomes import Outcome, outcome_of

from pytest_atexit import ExitResult

PROGRAMS = Path(__file__).parent.parent / "programs"
Same = Callable[..., ExitResult]
Script = Callable[..., Path]

# What differs by nature, each with its cause. Strict: what stops to differ must be taken out.
BY_NATURE = {
    "audited_frames": "who registers is told by its frame, and Python has an audit event for each look at one",
    "traced_registrations": "`register` does its work in Python, which profilers and tracers see",
    "keywords_not_text": "`register` does its work in Python, where keywords are text",
    "wrong_arguments_private": "`_run_exitfuncs` is a chain in C, which refuses arguments in other words",
    "traced_failures": "what a handler raised is noted in Python, which profilers and tracers see",
}
if sys.version_info < (3, 12):
    BY_NATURE["recursing"] = "calls in C count for the recursion limit"


def programs() -> list[object]:
    """Returns all programs, marked where they differ by nature."""
    return [
        pytest.param(
            path, id=path.stem, marks=[pytest.mark.xfail(reason=reason, raises=AssertionError)] if reason else []
        )
        for path in sorted(PROGRAMS.glob("*.py"))
        for reason in [BY_NATURE.get(path.stem)]
    ]


@pytest.mark.parametrize("program", programs())
def test_program_ends_as_it_does_plainly(
    program: Path, plainly: Callable[..., Outcome], recorded: Callable[..., ExitResult]
) -> None:
    """A program's stdout, stderr and status are those of a plain run, and it did register something."""
    plain = plainly(program)
    result = recorded(program)
    assert outcome_of(result) == plain
    assert plain.stdout or plain.stderr
    assert (
        any(record.handlers or record.unregistered for record in (result, *result.children)) or program.stem in SILENT
    )


# Programs that register nothing, or nothing in an interpreter that is recorded.
SILENT = {"system_view", "wrong_arguments_private", "faces", "faces_attributes"}

SMALL = """\
import atexit, sys
atexit.register(print, "handler", __name__)
@atexit.register
def fails():
    raise ValueError("fails")
print(sys.argv, sys.orig_argv, sys.path[0] == sys.path[0].strip(), sys.flags, __name__, sys.stdin.read())
"""

FLAGS = ["-O", "-OO", "-u", "-q", "-s", "-P", "-X dev", "-W error", "-b", "-B", "-X faulthandler", "-X tracemalloc"]


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_of_the_interpreter_mean_what_they_mean(flags: str, same: Same, script: Script) -> None:
    """A program that is run with flags of the interpreter behaves as with the same flags plainly."""
    if flags == "-P" and sys.version_info < (3, 11):
        pytest.skip("this interpreter has no -P")
    result = same(script(SMALL), "one", "two", python_args=flags.split(), stdin="text")
    assert result.failed == ["fails"]


FORMS = {
    "module": ["-m", "small", "x"],
    "package": ["-m", "package", "x"],
    "folder": ["package", "x"],
    "zipapp": ["small.zip", "x"],
    "command": ["-c", SMALL, "x"],
    "stdin": ["-", "x"],
    "interactive": ["-i", "-q", "small.py", "x"],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_program_behave_the_same(form: str, same: Same, script: Script, tmp_path: Path) -> None:
    """A program given as module, package, zipapp, text or standard input behaves as it does plainly."""
    script(SMALL, "small.py")
    script(SMALL, "package/__main__.py")
    script("", "package/__init__.py")
    with zipfile.ZipFile(tmp_path / "small.zip", "w") as archive:
        archive.writestr("__main__.py", SMALL)
    result = same([sys.executable, *FORMS[form]], stdin=SMALL if form == "stdin" else "", cwd=tmp_path)
    assert result.failed == ["fails"]


def test_variables_of_the_interpreter_mean_what_they_mean(same: Same, script: Script) -> None:
    """PYTHONPATH, PYTHONWARNINGS, PYTHONOPTIMIZE and the like keep their effect."""
    script("import atexit; atexit.register(print, 'from a module on PYTHONPATH')", "folder/found.py")
    program = script("import found, sys, warnings; warnings.warn('shown'); print(sys.flags, sys.stdout.encoding)")
    env = {
        "PYTHONPATH": str(program.parent / "folder"),
        "PYTHONWARNINGS": "error::DeprecationWarning",
        "PYTHONOPTIMIZE": "1",
        "PYTHONIOENCODING": "latin-1",
        "PYTHONHASHSEED": "7",
        "PYTHONUNBUFFERED": "1",
    }
    assert same(program, env=env).registered == ["print"]


def test_no_byte_code_is_written_by_the_agent(same: Same, script: Script, tmp_path: Path) -> None:
    """What a program finds in its own folder is what it finds there plainly."""
    script("x = 1", "imported.py")
    program = script("import imported, os; print(sorted(os.listdir('.')))")
    same(program, env={"PYTHONDONTWRITEBYTECODE": "1"}, cwd=tmp_path)


CUSTOMIZE = {
    "prints": "print('chained')",
    "raises": "1/0",
    "has an import error": "import nothing",
    "exits": "raise SystemExit(3)",
    "raises what is no Exception": "raise BaseException('odd')",
    "registers": "import atexit, sys; atexit.register(print, 2); print('sitecustomize' in sys.modules, __name__, __file__)",
}


@pytest.mark.parametrize("text", CUSTOMIZE.values(), ids=CUSTOMIZE)
def test_own_sitecustomize_is_run_as_it_would_be(
    text: str, plainly: Callable[..., Outcome], recorded: Callable[..., ExitResult], script: Script
) -> None:
    """A `sitecustomize` of the user's is imported, and its errors look the same."""
    program = script(
        "import sys; print([m for m in sys.modules if 'customize' in m]); import atexit; atexit.register(print)"
    )
    script(text, "folder/sitecustomize.py")
    env = {"PYTHONPATH": str(program.parent / "folder")}
    plain, outcome = plainly(program, env=env), outcome_of(recorded(program, env=env))
    if (
        "SystemExit" in text or "BaseException" in text
    ):  # a fatal error of the interpreter, in whose traceback one frame is ours
        ours = re.compile(r'  File "[^"]*/(?:pytest-)?atexit-[^"]*".*\n( {4}.*\n)*')
        outcome = Outcome(outcome.stdout, ours.sub("", outcome.stderr), outcome.status)
    assert outcome == plain


def test_usercustomize_is_run_as_it_would_be(same: Same, script: Script) -> None:
    """A `usercustomize` is imported too, and what it registers is recorded."""
    program = script("import sys; print([m for m in sys.modules if 'customize' in m])")
    script("import atexit; atexit.register(print, 'of the user')", "folder/usercustomize.py")
    env = {"PYTHONPATH": str(program.parent / "folder"), "PYTHONUSERBASE": str(program.parent)}
    result = same(program, env=env)
    assert result.stdout.endswith("of the user\n") == (result.ran == ["print"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGKILL, signal.SIGABRT])
def test_signals_have_their_default_action(number: signal.Signals, same: Same, script: Script) -> None:
    """A signal without a signal handler ends the program, and nothing of it runs."""
    result = same(script(f"import atexit, os; atexit.register(print, 1); os.kill(os.getpid(), {int(number)})"))
    assert (result.returncode, result.ran, result.skipped) == (-number, [], ["print"])


@pytest.mark.parametrize("value", ["None", "0", "3", "256", "-1", "2**70", "True", "'text'", "()", "''", "1.5"])
def test_values_for_sys_exit_mean_what_they_mean(value: str, same: Same, script: Script) -> None:
    """`sys.exit` with any value gives the status that it gives plainly, and handlers run."""
    result = same(script(f"import atexit, sys; atexit.register(print, 'handler'); sys.exit({value})"))
    assert result.ran == ["print"]


def test_big_output_arrives_in_order(same: Same, script: Script) -> None:
    """A handler that writes more than any pipe holds loses nothing."""
    text = "import atexit, sys; atexit.register(lambda: [print(i, file=f) for i in range(40_000) for f in (sys.stdout, sys.stderr)])"
    assert len(same(script(text)).stdout) > 200_000
