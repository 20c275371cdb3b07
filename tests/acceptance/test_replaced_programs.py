"""A program that execs: what it becomes is recorded, or the result says that it isn't, and why."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import CapExit, Ending, NotRecorded

REGISTERS = "import atexit; atexit.register(print, 'of the second')"
LAUNCHER = """
import atexit, os, sys
atexit.register(print, 'of the first')
{before}
os.execl(sys.executable, {argv})
"""


def launcher(*argv: str, before: str = "") -> str:
    """Returns a program that becomes a Python with these arguments."""
    return LAUNCHER.format(before=before, argv=", ".join(map(repr, ["python", *argv])))


def stopped(capexit: CapExit, text: str) -> None:
    """Start a program and stop it when it has come to its end by itself."""
    program = capexit.start(text)
    program.wait_for(lambda: " ended: " in repr(program))
    program.stop()


@pytest.mark.parametrize(
    "way",
    [
        lambda capexit, text: capexit.run(text),
        lambda capexit, text: capexit.start(text).wait(),
        lambda capexit, text: capexit.run(text, allow_failures=True),
        stopped,
    ],
    ids=["run", "wait", "allow_failures", "stop"],
)
def test_a_python_that_is_not_recorded(capexit: CapExit, steady: Callable[..., str], way) -> None:
    """`run`, `wait` and `stop` raise; what it was before is in the error's result."""
    with pytest.raises(NotRecorded) as caught:
        way(capexit, launcher("-I", "-c", REGISTERS))
    lines = steady(caught.value).splitlines()
    assert lines[0] == "the program ran (exit code 0), but was not recorded, so nothing is known of its handlers"
    assert lines[1].endswith(f"{sys.executable} RUN/program.py")
    assert lines[2].startswith(f"it was replaced (exec) by: {sys.executable} -I -c ")
    assert lines[3:] == [
        "The recorder is loaded through PYTHONPATH, and -I keeps it out.",
        "stdout:",
        "  of the second",
    ]
    result = caught.value.result
    assert result is not None
    assert (result.registered, result.skipped, result.children) == (["print"], ["print"], [])


@pytest.mark.parametrize(
    "text",
    [
        launcher("-c", REGISTERS, before="del os.environ['PYTHONPATH']"),
        launcher("-c", REGISTERS, before="os.environ['PYTHONPATH'] = '/nowhere'"),
        f"import os, sys; os.execve(sys.executable, ['python', '-c', {REGISTERS!r}], {{'A': 'b'}})",
        f"import os, sys; os.execve(sys.executable, ['python', '-c', {REGISTERS!r}], {{b'PYTHONPATH': b'/nowhere'}})",
    ],
)
def test_a_cleaned_environment(capexit: CapExit, text: str) -> None:
    """What shares no folder with the recorder can't load it."""
    with pytest.raises(
        NotRecorded, match=r"by: .*\nThe recorder .* PYTHONPATH, from which its folder had been removed"
    ):
        capexit.run(text)


@pytest.mark.parametrize("env", ["os.environ", "os.environb", "{**os.environ}"])
def test_an_environment_of_its_own(capexit: CapExit, env: str) -> None:
    """One in which the recorder's variables are is recorded, be it `os.environ` or a copy."""
    result = capexit.run(f"import os, sys; os.execve(sys.executable, ['python', '-c', {REGISTERS!r}], {env})")
    assert [child.ran for child in result.children] == [["print"]]


def test_a_second_program_that_becomes_a_third(capexit: CapExit) -> None:
    """The last program of the process counts, and so does a script that only its first line says to be Python's."""
    second = f"import os, sys; os.execv(sys.executable, [sys.executable, '-S', '-c', {REGISTERS!r}])"
    with pytest.raises(NotRecorded, match=r"it was replaced \(exec\) by: .* -S -c ") as caught:
        capexit.run(launcher("-c", second))
    assert caught.value.result is not None
    assert [child.role for child in caught.value.result.children] == ["exec"]


def test_a_script_of_python(capexit: CapExit, tmp_path: Path) -> None:
    """Flags in its first line keep the recorder out as well."""
    tool = tmp_path / "tool"
    tool.write_text(f"#!{sys.executable} -E\n{REGISTERS}\n")
    tool.chmod(0o755)
    with pytest.raises(NotRecorded, match=r"and -E keeps it out"):
        capexit.run(f"import os; os.execl({str(tool)!r}, 'tool')")


def test_a_python_that_is_recorded(capexit: CapExit) -> None:
    """It is a child with the same pid, and the ending of the first program is the exec."""
    result = capexit.run(launcher("-c", REGISTERS))
    (child,) = result.children
    assert (result.ending, result.skipped) == (Ending.EXEC, ["print"])
    assert (child.role, child.pid, child.ran) == ("exec", result.pid, ["print"])


@pytest.mark.parametrize(
    "argv",
    [["true"], ["sh", "-c", "true"], ["python", "--version"], ["python", "-I", "-S", "-c", ""]],
    ids=" ".join,
)
def test_what_has_no_handlers_lacks_no_record(capexit: CapExit, argv: list[str]) -> None:
    """Another program than Python, and a Python without a program."""
    result = capexit.run(f"import atexit, os; atexit.register(print); os.execvp({argv[0]!r}, {argv!r})")
    assert (result.ending, result.skipped) == (Ending.EXEC, ["print"])


def test_an_exec_in_a_handler_is_the_ending(capexit: CapExit) -> None:
    """The handler never returns, and those behind it never run."""
    result = capexit.run(
        """
        import atexit, os

        def replace():
            os.execvp("true", ["true"])

        atexit.register(print)
        atexit.register(replace)
        """
    )
    assert (result.ending, result.unfinished, result.skipped) == (Ending.EXEC, ["replace"], ["print"])
    assert result.reason is not None
    assert "replaced the program" in result.reason


def test_an_exec_that_fails_is_no_ending(capexit: CapExit) -> None:
    """The program goes on."""
    result = capexit.run(
        """
        import atexit, os, sys

        atexit.register(print)
        try:
            os.execv("/no/such/python", ["python"])
        except OSError:
            sys.exit(5)
        """
    )
    assert (result.ending, result.returncode, result.ran) == (Ending.SYS_EXIT, 5, ["print"])


def test_a_signal_to_the_second_program_is_not_why_handlers_of_the_first_were_skipped(capexit: CapExit) -> None:
    """The exec is."""
    result = capexit.run("import atexit, os; atexit.register(print); os.execvp('sh', ['sh', '-c', 'kill -TERM $$'])")
    assert str(result.status) == "killed by SIGTERM"
    assert result.reason is not None
    assert "replaced the program" in result.reason
