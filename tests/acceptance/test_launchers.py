"""A forked program is as one that was started: the launchers differ in what they cost, and in what the docs list."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from pytest_atexit import CapExit, ExitResult, LaunchError, PytestAtexitError
from pytest_atexit._launch import _fork
from pytest_atexit._launch._process import Process

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython can be forked")
Inner = Callable[..., pytest.RunResult]

LOOKS_AROUND = """
import atexit, gc, json, os, signal, stat, sys

def kind(number):
    return stat.filemode(os.fstat(number).st_mode)

print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "file": __file__, "path": sys.path, "cwd": os.getcwd(),
    "environ": [item for item in os.environ.items() if item[0] != "PYTEST_ATEXIT_JOURNAL"],
    "inherited": [os.nice(0), sorted(os.sched_getaffinity(0)), os.getgroups(), os.getresuid(), os.getresgid(),
                  open("/proc/self/cgroup").read()],
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


def test_relative_import_folders_are_those_of_the_working_folder(capexit: CapExit, tmp_path: Path) -> None:
    """The interpreter makes PYTHONPATH absolute when it starts."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "beside.py").write_text("")
    for name in "spawn", "fork":
        text = "import beside; print(beside.__file__)"
        result = capexit.run(text, cwd=tmp_path, env={"PYTHONPATH": "folder"}, launcher=name)
        assert (result.stdout, started_by(result)) == (f"{tmp_path}/folder/beside.py\n", name)


def test_what_the_tests_change_of_themselves_holds_for_forked_programs(capexit: CapExit) -> None:
    """A server that was started before has other cores; so it isn't used."""
    capexit.run("")
    text = "import os; print(os.sched_getaffinity(0))"
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        outputs = [capexit.run(text, launcher=name).stdout for name in ("spawn", "fork")]
    finally:
        os.sched_setaffinity(0, before)
    assert outputs == [f"{{{min(before)}}}\n"] * 2
    assert capexit.run(text, launcher="fork").stdout == f"{before}\n"


def test_umask_of_the_tests_is_only_looked_at(capexit: CapExit, monkeypatch: pytest.MonkeyPatch) -> None:
    """To set it, so as to be told it, would give other threads' files another mode."""
    capexit.run("")
    calls: list[int] = []
    set_umask = os.umask
    monkeypatch.setattr(os, "umask", lambda mask: calls.append(mask) or set_umask(mask))
    before = set_umask(0o31)
    try:
        result = capexit.run("import os; print(os.umask(0))", launcher="fork")
    finally:
        set_umask(before)
    assert (result.stdout, calls) == (f"{0o31}\n", [])


class LimitExceeded(BaseException):
    """What a plugin for time limits raises from a signal handler."""


@pytest.fixture
def stopped(capexit: CapExit) -> Iterator[int]:
    """The pid of a server that doesn't answer."""
    server = capexit.run("", launcher="fork").parent_pid
    os.kill(server, signal.SIGSTOP)
    yield server
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGCONT)


def test_late_answer_is_never_that_to_another_request(
    capexit: CapExit, monkeypatch: pytest.MonkeyPatch, stopped: int
) -> None:
    """A server that has not answered in time is ended, and the next program is forked from another one."""
    monkeypatch.setattr(_fork.socket.socket, "recv", Mock(side_effect=TimeoutError("timed out")))
    with pytest.raises(LaunchError, match="the fork server does not answer: timed out"):
        capexit.run("", launcher="fork")
    monkeypatch.undo()
    assert not lives_on(stopped)
    result = capexit.run("import sys; sys.exit(5)", launcher="fork")
    assert (result.returncode, started_by(result)) == (5, "fork")


def test_interrupted_request_leaves_nothing_behind(capexit: CapExit, stopped: int) -> None:
    """Ctrl-C or a time limit may come between request and answer."""

    def interrupt(*_: object) -> None:
        raise LimitExceeded

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)  # again, should it come before the request
        with pytest.raises(LimitExceeded):
            capexit.run("", launcher="fork")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not lives_on(stopped)
    result = capexit.run("import sys; sys.exit(5)", launcher="fork")
    assert (result.returncode, started_by(result)) == (5, "fork")


def lives_on(pid: int) -> bool:
    """Returns whether a process has not ended."""
    process = Process.look(pid)
    return process is not None and not process.is_zombie


def test_server_that_can_open_no_files_says_so(capexit: CapExit) -> None:
    """What the system refuses once is no end of the server."""
    server = capexit.run("", launcher="fork").parent_pid
    limits = resource.prlimit(server, resource.RLIMIT_NOFILE)
    resource.prlimit(server, resource.RLIMIT_NOFILE, (4, limits[1]))
    with pytest.raises(LaunchError, match="too many files are open in the fork server"):
        capexit.run("", launcher="fork")
    assert started_by(capexit.run("")) == "spawn"
    resource.prlimit(server, resource.RLIMIT_NOFILE, limits)
    assert capexit.run("", launcher="fork").parent_pid == server


def test_program_whose_server_dies_has_no_known_end(capexit: CapExit) -> None:
    """The error says so, and blames nobody else."""
    waits = "import sys; print('ready', flush=True); sys.stdin.read()"
    reader, writer = os.pipe()
    with open(reader) as stdin, capexit.start(waits, stdin=stdin, launcher="fork") as program:
        program.wait_for_output("ready")
        parent = Process.look(program.pid)
        assert parent is not None
        os.kill(parent.parent, signal.SIGKILL)
        os.close(writer)
        with pytest.raises(PytestAtexitError, match=r"the fork server, which had forked process \d+, died"):
            program.wait(allow_failures=True)
    assert started_by(capexit.run("")) == "spawn"  # which makes room for another server


def test_interpreter_that_writes_at_its_start_is_no_matter_of_preloading(capexit: CapExit) -> None:
    """Forked programs would miss that; by default it is started anew."""
    with pytest.raises(LaunchError, match="the interpreter writes something when it starts"):
        capexit.run("", env={"PYTHONVERBOSE": "1"}, launcher="fork")
    result = capexit.run("", env={"PYTHONVERBOSE": "1"})
    assert started_by(result) == "spawn"
    assert "# clear sys." in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(20)  # less than a server is waited for
def test_fork_of_the_tests_does_not_keep_a_server(inner: Inner) -> None:
    """It has the server's line as well, and lives until the session is over."""
    result = inner(
        """
        import os

        def test_it(capexit):
            capexit.run("", launcher="fork")
            reader, writer = os.pipe()
            if os.fork() == 0:
                os.close(writer)
                for number in (1, 2):
                    os.close(number)
                os.read(reader, 1)
                os._exit(0)
            os.close(reader)
        """
    )
    result.assert_outcomes(passed=1)


def test_server_that_was_killed_is_replaced(capexit: CapExit) -> None:
    """The program that was to be forked is an error, or is started anew; the next one is forked from another server."""
    server = capexit.run("", launcher="fork").parent_pid
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
    "timers": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 1000)",
    "shares": "import mmap\nshared = mmap.mmap(-1, 4096)",
    "audits": "import sys\nsys.addaudithook(lambda *args: None)",
    "traces": "import sys\nsys.setprofile(lambda *args: None)",
}


REFUSED = {
    "threads": "its import changes the number of threads",
    "signals": "its import changes the signal handlers",
    "talks": "writes something when it is imported",
    "opens": "its import changes the open files",
    "changes": "its import changes the environment",
    "raises": "ZeroDivisionError",
    "timers": "its import changes the timers",
    "shares": "its import changes the shared memory",
    "audits": "its import changes the audit hooks",
    "traces": "its import changes the trace and profile functions",
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
            where = "@pytest.mark.atexit, --atexit-preload or atexit_preload"
            assert told.startswith(f"the program can't be forked with preload={{name}} ({{where}}): ")
            assert REFUSED[name] in told
        """,
        "--atexit-preload=quiet",
    )
    result.assert_outcomes(passed=1 + len(REFUSED))


def test_preloaded_module_finds_the_environment_of_the_program(inner: Inner, pytester: pytest.Pytester) -> None:
    """And not that of the first one; the collector is as the module leaves it, and has told it of no collection."""
    pytester.makepyfile(
        looks="import gc, os\nmode, told = os.environ.get('MODE'), []\ngc.disable()\n"
        "gc.callbacks.append(lambda *args: told.append(args))"
    )
    result = inner(
        """
        def test_it(capexit):
            for mode in "one", "two":
                text = "import gc, looks; print(looks.mode, gc.isenabled(), looks.told)"
                result = capexit.run(text, env={"MODE": mode}, launcher="fork")
                assert result.stdout == f"{mode} False []\\n"
        """,
        "--atexit-preload=looks",
    )
    result.assert_outcomes(passed=1)


# What a preloaded module holds to the end, and tells of its own. With `sys`, it lives until modules are cleared.
CALLS = """
import sys, weakref
sys.holder = holder
holder.held.append(holder.Thing())
holder.reference = weakref.ref(holder.held[0], {})
"""
HELD = {
    "finalizer": "class Loud:\n    def __del__(self): print('gone')\nholder.held.append(Loud())",
    "generator": "def steps():\n    try: yield\n    finally: print('closed')\nsteps = steps()\nnext(steps)\n"
    "holder.held.append(steps)",
    "file": "holder.held.append(open('written', 'w')); holder.held[0].write('text')",
    "callback": CALLS.format("lambda _: print('gone')"),
    "attribute": "class Loud:\n    def __del__(self): print('gone')\nholder.other = holder.Thing.loud = Loud()",
    "frozen": "import gc\nclass Loud:\n    def __del__(self): print('gone')\nholder.held.append(Loud()); gc.freeze()",
    "function": CALLS.format("holder.tell"),
    "stream": "import sys\nholder.held += [sys.stdin, sys.stdout]\nsys.stdout = open('written', 'w')\nprint('text')",
    "method": "import sys, weakref\nsys.holder = holder\nholder.held.append(holder.Thing())\n"
    "holder.reference = weakref.WeakMethod(holder.held[0].method, lambda _: print('gone'))",
    "proxy": CALLS.replace("weakref.ref", "weakref.proxy").format("lambda _: print('gone')"),
    "thawed": "import gc\nclass Loud:\n    def __init__(self): self.me = self\n    def __del__(self): print('gone')\n"
    "gc.disable()\nloud = Loud()\ngc.freeze()\nanother = Loud()",
    "nothing": "holder.held.append([holder.Thing()])",
}
SILENT = "thawed", "nothing"


def test_what_preloaded_modules_hold_comes_to_its_end(inner: Inner, pytester: pytest.Pytester) -> None:
    """As in a plain run, where modules are cleared at the end: a finalizer is called, a file written, and so on."""
    pytester.makepyfile(
        holder="held = []\nclass Thing:\n    def method(self): pass\ndef tell(reference): print('told')\n",
    )
    result = inner(
        f"""
        import os, pytest, subprocess, sys
        from pathlib import Path

        HELD = {HELD!r}

        @pytest.mark.parametrize("name", HELD)
        def test_it(capexit, name):
            written, text = Path("written"), "import holder\\n" + HELD[name]
            written.write_text("")
            env = {{**os.environ, "PYTHONPATH": os.getcwd()}}
            plain = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=env)
            expected = plain.stdout, plain.stderr, written.read_text()
            assert any(expected) is (name not in {SILENT})
            written.write_text("")
            result = capexit.run(text, launcher="fork", cwd=os.getcwd())
            assert "holder" in capexit.run("import sys; print([*sys.modules])").stdout
            assert (result.stdout, result.stderr, written.read_text()) == expected
        """,
        "--atexit-preload=holder",
    )
    result.assert_outcomes(passed=len(HELD))


def test_preloaded_modules_are_spared(inner: Inner, pytester: pytest.Pytester) -> None:
    """Where no object could tell: as shown by one which can, for its class gets a finalizer when it is too late."""
    pytester.makepyfile(holder="import logging, threading\nclass Thing: pass\nthing = Thing()")
    result = inner(
        """
        import os, subprocess, sys

        def test_it(capexit):
            text = "import holder\\nholder.Thing.__del__ = lambda thing: print('gone')"
            env = {**os.environ, "PYTHONPATH": os.getcwd()}
            assert subprocess.check_output([sys.executable, "-c", text], env=env) == b"gone\\n"
            assert capexit.run(text, launcher="fork").stdout == ""
        """,
        "--atexit-preload=holder",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_thousand_forks_leave_nothing(inner: Inner) -> None:
    """No process, no descriptor, and no growth of the server's memory."""
    result = inner(
        """
        import os, time
        from pathlib import Path

        def state(server):
            deadline = time.monotonic() + 10  # the last program is reaped soon, and nobody waits for that
            path = Path(f"/proc/{server}/task/{server}/children")
            while (children := path.read_text()) and time.monotonic() < deadline:
                pass
            status = Path(f"/proc/{server}/status").read_text()
            memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
            return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{server}/fd")), children, memory

        def test_it(capexit):
            server = capexit.run("", launcher="fork").parent_pid
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
