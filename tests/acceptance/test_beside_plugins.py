"""Beside other plugins of pytest, and in the ways in which tests are written and run."""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

Inner = Callable[..., pytest.RunResult]
Sections = Callable[..., list[str]]
Load = Callable[..., None]

SUITE = """
import atexit
import pytest

def close(): pass

def program():
    atexit.register(close)

@pytest.mark.parametrize("number", range(3))
@pytest.mark.xdist_group("one")
def test_passes(capexit, number):
    assert capexit.run(program).ran == ["close"]

@pytest.mark.xdist_group("two")
def test_fails(capexit):
    capexit.run(program)
    assert capexit.run(program, ending="SIGKILL").ran == ["close"]
"""
UP = "import atexit, time; atexit.register(print); print('up', flush=True); time.sleep(60)"


def commands(section: str) -> list[str]:
    """Returns the programs that a report section shows."""
    return [line for line in section.splitlines() if re.match(r"\$ |<RunningProgram ", line)]


def running_below(folder: Path) -> list[str]:
    """Returns the command lines of processes that name a folder, such as that of a program's file."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if str(folder) in line]


@pytest.mark.parametrize(
    ("plugins", "options"),
    [
        ([], ["-n2", "--dist=loadgroup"]),
        ([], ["--timeout=30", "--timeout-method=thread"]),
        (["pytest-randomly"], []),
        (["pytest-rerunfailures", "pytest-randomly", "pytest-asyncio", "pytest-cov"], ["-n2"]),
        ([], ["-s", "--import-mode=importlib"]),
    ],
    ids=" ".join,
)
def test_results_and_sections_are_the_same(
    inner: Inner, sections: Sections, load: Load, plugins: list[str], options: list[str]
) -> None:
    """What passes passes, what fails fails, and the failing test shows its own two programs and no other."""
    load(*plugins)
    result = inner(SUITE, *options)
    result.assert_outcomes(passed=3, failed=1)
    (section,) = sections(result)
    assert len(commands(section)) == 2
    assert "reason: SIGKILL ended it at once: no program can handle that" in section


def test_a_worker_of_xdist_that_crashes(inner: Inner) -> None:
    """Its test fails, another worker takes over, and the other tests are what they are."""
    result = inner(
        f"""{SUITE}
def test_crashes(capexit):
    import os

    with capexit.start({UP!r}) as running:
        running.wait_for_output("up")
        running.kill()
        os._exit(9)
""",
        "-n2",
    )
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["worker 'gw?' crashed while running '*::test_crashes'"])


def test_a_test_that_is_cut_off_leaves_nothing(inner: Inner, inner_tmpdir: Path) -> None:
    """pytest-timeout interrupts it by a signal, wherever it waits; the section says what was killed."""
    result = inner(
        f"""
        import os, signal

        def test_run(capexit):
            pid = os.getpid()
            waits = f"open('/proc/{{pid}}/stat').read().rpartition(')')[2].split()[0] == 'S'"  # and starts no more
            timer = f"exec(\\"while not {{waits}}: pass\\"); import os, signal; os.kill({{pid}}, signal.SIGALRM)"
            program = {UP!r}.replace("time.sleep", timer + "; time.sleep")
            capexit.run(program, launcher="spawn")

        def test_wait(capexit):
            program = capexit.start({UP!r})
            program.wait_for_output("up")
            program.wait_for(lambda: signal.raise_signal(signal.SIGALRM))

        def test_block(capexit):
            with capexit.start({UP!r}):
                signal.raise_signal(signal.SIGALRM)
        """,
        "--timeout=600",
        "--timeout-method=signal",
    )
    result.assert_outcomes(failed=3)
    assert len([line for line in result.outlines if re.match("E +Failed: Timeout .* from pytest-timeout", line)]) == 3
    assert running_below(inner_tmpdir) == []
    killed = [line for line in result.outlines if line.startswith("killed at the end of the test: process ")]
    assert len(killed) == 2  # the block has killed the third
    assert [name for name in os.listdir(inner_tmpdir) if name.startswith("pytest-atexit-")] == []


def test_a_rerun_shows_its_own_programs(inner: Inner, sections: Sections, load: Load) -> None:
    """pytest-rerunfailures runs a test again, with the fixture made anew."""
    load("pytest-rerunfailures")
    result = inner(
        """
        runs = []

        def test_fails(capexit):
            runs.append(capexit)
            assert capexit.run(f"import atexit; atexit.register(print, 'run {len(runs)}')").ran == []

        def test_passes_in_the_end(capexit):
            runs.append(capexit)
            assert capexit.run("import atexit; atexit.register(print)").ran == ["print"] * (len(runs) > 5)
        """,
        "--reruns=2",
        "-rR",
    )
    assert result.parseoutcomes()["rerun"] == 4
    assert result.parseoutcomes()["failed"] == 1
    assert result.parseoutcomes()["passed"] == 1
    shown = sections(result)
    assert [len(commands(section)) for section in shown] == [1] * len(shown)
    assert "print('run 3')" in shown[0]


def test_async_tests(inner: Inner, load: Load) -> None:
    """pytest-asyncio: blocking for a short while, waiting in a thread, and asyncio's own processes beside ours."""
    load("pytest-asyncio")
    result = inner(
        f"""
        import asyncio, sys
        import pytest

        async def child():
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(5)")
            return await process.wait()

        @pytest.mark.asyncio
        async def test_blocking(capexit):
            assert capexit.run("import atexit; atexit.register(print)").ran == ["print"]
            assert await child() == 5

        @pytest.mark.asyncio
        async def test_in_threads(capexit):
            program = capexit.start({UP!r})
            _, status = await asyncio.gather(asyncio.to_thread(program.wait_for_output, "up"), child())
            assert status == 5
            result, status = await asyncio.gather(asyncio.to_thread(program.stop), child())
            assert (result.skipped, status) == (["print"], 5)

        @pytest.mark.asyncio
        async def test_fails(capexit):
            assert capexit.run("import atexit; atexit.register(print)").ran == []
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*- capexit -*", "*status: exit code 0 (ended by return)"])


def test_random_seeds_change_no_names(inner: Inner, load: Load) -> None:
    """pytest-randomly seeds `random` alike before each test, and workers: folders and ports differ all the same."""
    load("pytest-randomly")
    result = inner(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(session_capexit, number):
            session_capexit.run("pass")
            print("NAMES", session_capexit.run("pass").path, session_capexit.free_port())
        """,
        "-n2",
        "-rP",
    )
    result.assert_outcomes(passed=4)
    names = [name for line in result.outlines if line.startswith("NAMES ") for name in line.split()[1:]]
    assert len(names) == len(set(names)) == 8


def test_unittest_with_coroutines(inner: Inner) -> None:
    """The recipe of docs/recipes.md holds for `IsolatedAsyncioTestCase`, too, and with a fixture of the class."""
    result = inner(
        """
        import asyncio, unittest
        import pytest

        class ExitTest(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def _capexit(self, capexit, class_capexit):
                self.capexit, self.shared = capexit, class_capexit

            async def test_closes(self):
                result = await asyncio.to_thread(self.capexit.run, "import atexit; atexit.register(print)")
                self.assertEqual(result.ran, ["print"])

            async def test_fails(self):
                self.assertEqual(self.shared.run("import atexit; atexit.register(print)").ran, [])
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- capexit -*", "*status: exit code 0 (ended by return)"])


def test_doctests(inner: Inner, pytester: pytest.Pytester, sections: Sections) -> None:
    """By `getfixture`; a failing one shows its programs, and what still runs is killed."""
    pytester.makefile(
        ".txt",
        test_docs=f"""
        >>> capexit = getfixture("capexit")
        >>> capexit.run("import atexit; atexit.register(print)").ran
        ['print']
        >>> capexit.start({UP!r}).wait_for_output("up").group()
        'down'
        """,
    )
    result = inner(
        '''
        def documented():
            """
            >>> getfixture("capexit").run("import atexit; atexit.register(print)").ran
            ['print']
            """
        ''',
        "--doctest-modules",
    )
    result.assert_outcomes(passed=1, failed=1)
    shown = "\n".join(sections(result))
    assert len(commands(shown)) == 2
    assert "killed at the end of the test: process " in result.stdout.str()
