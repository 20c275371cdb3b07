"""A forked program is as one that was started: the launchers differ in what they cost, and in what the docs list."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import CapExit, ExitResult, LaunchError

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython can be forked")
Inner = Callable[..., pytest.RunResult]

LOOKS_AROUND = """
import atexit, gc, json, os, signal, stat, sys

def kind(number):
    return stat.filemode(os.fstat(number).st_mode)

print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "file": __file__, "path": sys.path, "cwd": os.getcwd(),
    "environ": {name: value for name, value in os.environ.items() if name != "PYTEST_ATEXIT_JOURNAL"},
    "modules": sorted(sys.modules), "main": sorted(vars(sys.modules["__main__"])), "flags": list(sys.flags),
    "streams": [[s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.isatty(), s.newlines, repr(s)]
                for s in (sys.stdin, sys.stdout, sys.stderr)],
    "kinds": [kind(number) for number in range(3)], "files": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    "signals": {s.name: str(signal.getsignal(s)) for s in signal.valid_signals() if isinstance(s, signal.Signals)},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "umask": os.umask(0),
    "leads": [os.getsid(0) == os.getpid() == os.getpgid(0)], "gc": [gc.isenabled(), gc.get_threshold()],
    "cmdline": open("/proc/self/cmdline").read().rstrip("\\0").split("\\0"), "read": sys.stdin.read(),
    "callbacks": atexit._ncallbacks(), "threads": os.listdir("/proc/self/task") == [str(os.getpid())],
    "frame": sys._getframe().f_back is None, "importers": sorted(sys.path_importer_cache),
}, indent=1))
"""


def started_by(result: ExitResult) -> str:
    """Returns which launcher it was: a forked program is a child of its server."""
    return "spawn" if result.parent_pid == os.getpid() else "fork"


@pytest.mark.parametrize("stdin", [None, "text", b"bytes"])
def test_forked_program_finds_what_a_started_one_does(capexit: CapExit, tmp_path: Path, stdin: str | None) -> None:
    """Command line, paths, environment, streams, signals, process group, modules: all of it."""
    program = tmp_path / "program.py"
    program.write_text(LOOKS_AROUND)
    options = {"cwd": tmp_path, "env": {"OWN": "value", "HOME": None}, "stdin": stdin}
    results = [capexit.run(program, "one", "two words", launcher=name, **options) for name in ("spawn", "fork")]  # type: ignore[arg-type]
    assert [started_by(result) for result in results] == ["spawn", "fork"]
    plain, forked = (result.stdout.splitlines() for result in results)
    assert forked == plain


@pytest.mark.parametrize(
    "ending", ["return", "sys.exit", "exception", "SIGINT", "SIGTERM", "SIGKILL", "os._exit", "abort"]
)
def test_forked_program_ends_as_a_started_one_does(capexit: CapExit, ending: str) -> None:
    """The interpreter itself ends it: status, output, traceback, handlers and the reason are the same."""
    text = "import atexit, sys\natexit.register(print, 'handler')\nprint('main'); print('error', file=sys.stderr)\n"
    ends = []
    for name in "spawn", "fork":
        result = capexit.run(text, ending=ending, launcher=name)
        assert started_by(result) == name
        told = result.status, result.ending, result.reason, result.ran, result.skipped, result.stdout
        ends.append((*told, result.stderr.replace(str(result.path), "FOLDER")))
    assert ends[0] == ends[1]


def test_auto_forks_text_and_functions_only(capexit: CapExit, tmp_path: Path) -> None:
    """What looks at the interpreter's start more closely is started anew."""
    path = tmp_path / "program.py"
    path.write_text("")

    def program() -> None:
        pass

    assert [started_by(capexit.run(each)) for each in ("", program)] == ["fork", "fork"]
    assert started_by(capexit.run(path)) == "spawn"
    assert started_by(capexit.run("", python_args=["-O"])) == "spawn"
    assert started_by(capexit.run([sys.executable, "-c", ""])) == "spawn"
    assert started_by(capexit.run("", env={"COVERAGE_PROCESS_START": "x"})) == "spawn"


def test_variables_that_count_at_the_start_have_a_server_of_their_own(capexit: CapExit) -> None:
    """Such as PYTHONUTF8 and PYTHONHASHSEED, which an interpreter reads before it comes to the program."""
    text = "import sys; print(sys.flags.utf8_mode, sys.flags.hash_randomization)"
    result = capexit.run(text, env={"PYTHONUTF8": "1", "PYTHONHASHSEED": "0"}, launcher="fork")
    assert (result.stdout, started_by(result)) == ("1 0\n", "fork")


def test_many_are_forked_at_once(capexit: CapExit) -> None:
    """Each has its own output, handlers and end."""
    running = [
        capexit.start(
            f"import atexit\natexit.register(print, {number})\nprint('ready', flush=True)\ninput()", launcher="fork"
        )
        for number in range(8)
    ]
    results = [program.wait(allow_failures=True) for program in running]
    assert [result.stdout.split() for result in results] == [["ready", str(number)] for number in range(8)]


def test_server_that_was_killed_is_replaced(capexit: CapExit) -> None:
    """The program that was to be forked is an error, or is started anew; the next one is forked from another server."""
    server = capexit.run("").parent_pid
    os.kill(server, signal.SIGKILL)
    with pytest.raises(LaunchError, match="the fork server has died"):
        while True:  # until the kernel has ended it
            capexit.run("", launcher="fork")
    result = capexit.run("", launcher="fork")
    assert started_by(result) == "fork"
    assert result.parent_pid != server
    os.kill(result.parent_pid, signal.SIGKILL)
    while started_by(capexit.run("")) == "fork":
        pass


def test_command_line_is_never_forked(capexit: CapExit) -> None:
    """To demand it is an error that says why."""
    with pytest.raises(LaunchError, match="can't be forked: a command line is always started anew"):
        capexit.run([sys.executable, "-c", ""], launcher="fork")


PRELOADED = {
    "quiet": "import atexit\ndef handler(): print('preloaded')\natexit.register(handler)",
    "threads": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "signals": "import signal\nsignal.signal(signal.SIGTERM, print)",
    "talks": "print('hello')",
    "opens": "file = open('/dev/null')",
    "changes": "import os\nos.environ['CHANGED'] = '1'",
    "raises": "1 / 0",
}


REFUSED = {
    "threads": "its import changes the number of threads",
    "signals": "its import changes the signal handlers",
    "talks": "writes something when it is imported",
    "opens": "its import changes the open files",
    "changes": "its import changes the environment",
    "raises": "ZeroDivisionError",
    "missing": "No module named 'missing'",
}


def test_preloaded_modules_are_there_or_refused(inner: Inner, pytester: pytest.Pytester) -> None:
    """A module that does more at import than to define things would hide it from the programs: that is an error."""
    pytester.makepyfile(**PRELOADED)
    result = inner(
        f"""
        import pytest
        from pytest_atexit import LaunchError

        REFUSED = {REFUSED!r}

        def test_quiet(capexit):
            result = capexit.run("import sys, atexit; print('quiet' in sys.modules); import quiet")
            assert result.stdout == "True\\npreloaded\\n"
            assert result.ran == ["handler"]
            assert result.handlers[0].where == "quiet.py:3"

        NAMES = [pytest.param(name, marks=pytest.mark.atexit(preload=name)) for name in REFUSED]

        @pytest.mark.parametrize("name", NAMES)
        def test_refused(capexit, name):
            with pytest.raises(LaunchError) as caught:
                capexit.run("pass")
            told = str(caught.value)
            assert told.startswith("the program can't be forked: ")
            assert REFUSED[name] in told
        """,
        "--atexit-preload=quiet",
    )
    result.assert_outcomes(passed=1 + len(REFUSED))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_thousand_forks_leave_nothing(inner: Inner) -> None:
    """No process, no descriptor, and no growth of the server's memory."""
    result = inner(
        """
        import os
        from pathlib import Path

        def state(server):
            status = Path(f"/proc/{server}/status").read_text()
            memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
            children = Path(f"/proc/{server}/task/{server}/children").read_text()
            return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{server}/fd")), children, memory

        def test_it(capexit):
            server = capexit.run("").parent_pid
            for _ in range(100):
                capexit.run("", launcher="fork")
            before = state(server)
            for _ in range(2000):
                assert capexit.run("import atexit; atexit.register(print)", launcher="fork").ran == ["print"]
            after = state(server)
            assert after[:3] == before[:3]
            assert after[3] < before[3] + 1024
        """
    )
    result.assert_outcomes(passed=1)
