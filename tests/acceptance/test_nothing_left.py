"""What is left of a test and of a whole run: nothing."""

import os
import select
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Inner = Callable[..., pytest.RunResult]
Marked = Callable[[str], list[int]]

ENDLESS = "import os, time\nos.write(1, b'ready\\n')\nwhile True: time.sleep(60)\n"


@pytest.fixture
def mark(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark in the environment of all that an inner run starts; what bears it is killed in the end."""
    name = f"MARK_{uuid.uuid4().hex}"
    monkeypatch.setenv(name, "1")
    yield name
    for pid in marked(name):
        os.kill(pid, signal.SIGKILL)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Whether a process that needn't be a child of ours ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


TESTS = {
    "runs": "capexit.run('import atexit; atexit.register(print)')",
    "fails": "capexit.run('pass'); assert False",
    "hung handler": "capexit.run('import atexit, time; atexit.register(time.sleep, 60)', timeout=0.3)",
    "left running": "capexit.start(ENDLESS).wait_for_output('ready')",
    "stubborn": """capexit.start('''
import signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
''' + ENDLESS).wait_for_output('ready')""",
    "children": 'capexit.start(\'import subprocess; subprocess.Popen(["sleep", "60"])\\n\' + ENDLESS)'
    ".wait_for_output('ready')",
    "daemon": """capexit.run('''
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
''')""",
    "not started": "capexit.run(['no-such-command'])",
    "no agent": "capexit.run('pass', python_args=['-S'])",
    "interrupt": "capexit.start(ENDLESS).wait_for_output('ready'); raise KeyboardInterrupt",
    "pytest.exit": "capexit.start(ENDLESS).wait_for_output('ready'); pytest.exit('enough')",
}


ALONE = ("not started", "interrupt", "pytest.exit")  # the first launch of a session, and what ends it
MANY = {name: body for name, body in TESTS.items() if name not in ALONE}


@pytest.mark.parametrize("names", [[*MANY], *([name] for name in ALONE)], ids=", ".join)
def test_after_a_run(inner: Inner, inner_tmpdir: Path, mark: str, marked: Marked, names: list[str]) -> None:
    """Neither a process nor a folder is left, whatever the tests did."""
    source = f"import pytest\nENDLESS = {ENDLESS!r}\npytestmark = pytest.mark.atexit(linger=0.1)\n"
    for number, name in enumerate(names):
        source += f"\ndef test_{number}(capexit):\n    {TESTS[name]}\n"
    result = inner(source)
    assert result.ret in (0, 1, 2)
    assert len(names) == 1 or sum(result.parseoutcomes().values()) == len(names)
    assert marked(mark) == []
    assert [path.name for path in inner_tmpdir.glob("pytest-atexit-*")] == []


def test_after_wider_scopes(inner: Inner, inner_tmpdir: Path, mark: str, marked: Marked) -> None:
    """What a class, module or session left running is gone with it."""
    result = inner(
        f"""
        import pytest

        @pytest.mark.parametrize("scope", ["class", "module", "session"])
        class TestIt:
            def test_it(self, scope, request):
                request.getfixturevalue(f"{{scope}}_capexit").start({ENDLESS!r}).wait_for_output("ready")
        """
    )
    result.assert_outcomes(passed=3)
    assert marked(mark) == []
    assert list(inner_tmpdir.glob("pytest-atexit-*")) == []


def test_after_parallel_workers(inner: Inner, inner_tmpdir: Path, mark: str, marked: Marked) -> None:
    """The same counts for each worker of pytest-xdist."""
    pytest.importorskip("xdist")
    result = inner(
        f"""
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(capexit, number):
            capexit.start({ENDLESS!r}).wait_for_output("ready")
        """,
        "-n2",
    )
    result.assert_outcomes(passed=4)
    assert marked(mark) == []
    assert list(inner_tmpdir.glob("pytest-atexit-*")) == []


def test_the_mark_finds_what_is_left(inner: Inner, mark: str, marked: Marked) -> None:
    """The tests above can fail: a process that the run leaves behind is found by its environment."""
    result = inner("import subprocess\ndef test_it(): subprocess.Popen(['sleep', '60'], start_new_session=True)")
    result.assert_outcomes(passed=1)
    assert len(marked(mark)) == 1


def test_a_program_is_gone_before_the_next_test(inner: Inner) -> None:
    """What a test leaves running is killed when it ends, with what it started, and not at the end of the run."""
    result = inner(
        """
        import os
        import pytest

        PIDS = []

        def test_leaves(capexit):
            program = capexit.start('''
            import os, time
            child = os.fork()
            os.write(1, b"%d %d\\\\n" % (os.getpid(), child))
            time.sleep(60)
            ''')
            PIDS.extend(map(int, program.wait_for_output(r"(\\d+) ([1-9]\\d*)\\n").groups()))

        def test_is_gone():
            assert len(PIDS) == 2
            for pid in PIDS:
                try:
                    state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
                except FileNotFoundError:
                    continue
                assert state == "Z"
        """
    )
    result.assert_outcomes(passed=2)
