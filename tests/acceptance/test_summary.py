"""The summary at the end of a session: what the programs of all tests did, with and without xdist."""

import re
from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]
Load = Callable[..., None]

SUITE = """
import pytest

PROGRAM = '''
import atexit, sys
def close(): pass
def flush(): raise OSError("disk full")
atexit.register(close)
print("up", flush=True)
'''

def test_returns(capexit):
    capexit.run(PROGRAM)

def test_killed(capexit):
    capexit.run(PROGRAM, ending="SIGKILL")
    capexit.run(PROGRAM + "atexit.register(close)", ending="SIGKILL")

def test_fails_quietly(capexit):
    capexit.run(PROGRAM + "atexit.register(flush)", allow_failures=True)

def test_left_alone(capexit):
    program = capexit.start(PROGRAM + "import os; atexit.register(os._exit, 3)")
    program.wait_for_output("up")
    program.wait()

@pytest.fixture(scope="module")
def server(module_capexit):
    return module_capexit.start(PROGRAM + "sys.stdin.close(); __import__('signal').pause()")

@pytest.mark.xdist_group("server")
def test_server_is_up(server):
    server.wait_for_output("up")

def test_without():
    pass

def test_unrecorded(capexit):
    with pytest.raises(Exception, match="not recorded"):
        capexit.run("pass", python_args=["-S"])
"""
EXPECTED = """
7 runs: 4 handlers ran, 1 failed, 1 unfinished, 5 skipped, 1 program not recorded
failed:
  flush: OSError: disk full  test_it.py::test_fails_quietly
unfinished:
  _exit (by os._exit)  test_it.py::test_left_alone
skipped by SIGKILL (4):
  close  test_it.py::test_killed
  close  test_it.py::test_server_is_up
skipped by os._exit (1):
  close  test_it.py::test_left_alone
slowest shutdowns:
  T s  test_it.py::test_fails_quietly
  T s  test_it.py::test_left_alone
  T s  test_it.py::test_returns
"""


def summary(result: pytest.RunResult) -> list[str]:
    """Returns the lines of the section, the file's name steadied."""
    lines = iter(result.outlines)
    next((line for line in lines if re.fullmatch(r"=+ exit handlers =+", line)), None)
    found = []
    for line in lines:
        if line.startswith("="):
            break
        found.append(re.sub(r"test_\w+\.py::(\w+)(@server)?", r"test_it.py::\1", line))
    return found


def ordered(lines: list[str]) -> list[str]:
    """With workers tests end in any order, and a shutdown takes what it takes: the lines of each part are sorted."""
    parts: list[list[str]] = []
    for line in lines:
        parts += [] if parts and line.startswith(" ") else [[]]
        parts[-1].append(re.sub(r"\d\.\d{3} s", "T s", line))
    return [line for first, *rest in parts for line in (first, *sorted(rest))]


@pytest.mark.parametrize("options", [[], ["-n2", "--dist=loadgroup"]], ids=["one process", "two workers"])
def test_it_says_what_all_programs_did(inner: Inner, options: list[str]) -> None:
    """How many runs and handlers, what failed, was unfinished or skipped and by what, and in which tests."""
    result = inner(SUITE, *options)
    result.assert_outcomes(passed=7)
    assert ordered(summary(result)) == EXPECTED.strip().splitlines()


def test_more_and_less_of_it(inner: Inner) -> None:
    """Without a word only the first five of each are there, -v brings the others with reasons, and -q takes it all."""
    suite = """
    import pytest
    @pytest.mark.parametrize("number", range(7))
    def test_it(capexit, number):
        capexit.run("import atexit; atexit.register(print)", ending="SIGKILL")
    """
    plain = summary(inner(suite))
    assert plain[0] == "7 runs: 0 handlers ran, 7 skipped"
    assert plain[-1] == "  … and 2 more (-v shows them)"
    assert sum("test_it[" in line for line in plain) == 5
    much = summary(inner(suite, "-v"))
    assert sum("test_it[" in line for line in much) == 7
    assert sum("  print (program.py:1)  " in line for line in much) == 7
    assert much.count("    SIGKILL ended it at once: no program can handle that") == 7
    assert summary(inner(suite, "-q")) == []


def test_causes_say_no_more_than_is_known(inner: Inner) -> None:
    """How a child ended, as its parent was told; and where Python calls handlers, the ending itself is no cause."""
    result = inner(
        """
        PROGRAM = '''
        import atexit, os, signal, sys
        def close(): pass
        atexit.register(close)
        reader, writer = os.pipe()
        if os.fork() == 0:
            exec(sys.argv[1])
        os.close(writer)
        os.wait() if "wait" in sys.argv else os.read(reader, 1)  # until the child has ended
        '''
        def test_it(capexit):
            capexit.run(PROGRAM, "os._exit(0)", "wait")
            capexit.run(PROGRAM, "os.kill(os.getpid(), signal.SIGTERM)", "wait")
            capexit.run(PROGRAM, "os._exit(0)")
            capexit.run(PROGRAM, "atexit.register(os._exit, 3); sys.exit()", "wait")

        def test_late(capexit):
            capexit.run('''
            import atexit
            def late():
                for name in "abcdefg":
                    def handler(): pass
                    handler.__qualname__ = name
                    atexit.register(handler)
            atexit.register(late)
            ''')
        """
    )
    result.assert_outcomes(passed=2)
    titles = [line for line in summary(result) if not line.startswith("  ")]
    assert titles[0] == "5 runs: 6 handlers ran, 1 unfinished, 11 skipped"
    assert sorted(titles[2:-1]) == [
        "skipped by SIGTERM in a child (fork) (1):",
        "skipped in a child (fork) that ended with exit code 0 (1):",
        "skipped in a child (fork) that ended with exit code 3 (1):",
        "skipped in a child (fork) whose end isn't known (1):",
        "skipped though the program ended by return (7):",
    ]
    result.stdout.fnmatch_lines(["  a, b, c, d, e and 2 more  *::test_late"])
    assert sum(" s  " in line for line in summary(result)) == 2  # the slowest shutdown of each test
    result.stdout.fnmatch_lines(["  _exit (in a child (fork) that ended with exit code 3)  *::test_it"])


def test_a_session_without_programs_has_none(inner: Inner) -> None:
    """It has no section, and nothing for it was imported; neither where a fixture ran no program."""
    result = inner(
        """
        import sys
        def test_it():
            assert not [name for name in sys.modules if name.startswith("pytest_atexit._report")]
        def test_idle(capexit):
            capexit.assert_quiet_import("weakref")  # a check of ours, and no program of the test
        """
    )
    result.assert_outcomes(passed=2)
    assert summary(result) == []


@pytest.mark.slow
def test_finished_tests_of_a_worker_that_crashed_count(inner: Inner) -> None:
    """What a worker has told before it crashes is there, a program that it still ran included."""
    result = inner(
        f"""{SUITE}
def test_zz_crashes(server):
    import os
    server.kill()
    os._exit(1)
""",
        "-n1",
    )
    result.assert_outcomes(passed=7, failed=1)
    assert summary(result)[0] == (
        "7 runs: 4 handlers ran, 1 failed, 1 unfinished, 4 skipped, 1 program not recorded, 1 program running"
    )


@pytest.mark.parametrize(
    "options", [[], pytest.param(["-n1"], marks=pytest.mark.slow)], ids=["one process", "a worker"]
)
def test_programs_that_end_after_the_last_test_count(inner: Inner, options: list[str]) -> None:
    """Where the session is broken off, fixtures are closed after the last report."""
    result = inner(
        """
        import pytest

        @pytest.fixture(scope="session")
        def server(session_capexit):
            return session_capexit.start("import signal; print('up', flush=True); signal.pause()")

        def test_one(server):
            server.wait_for_output("up")
            assert False

        def test_two(server):
            pass
        """,
        "-x",
        *options,
    )
    assert summary(result) == ["1 run: 0 handlers ran"]


@pytest.mark.slow
def test_each_try_of_a_test_counts(inner: Inner, load: Load) -> None:
    """pytest-rerunfailures tells nothing of the end of a try that failed; its programs ran all the same."""
    load("pytest-rerunfailures")
    result = inner(
        """
        tries = []
        def test_it(capexit):
            tries.append(capexit.run("import atexit; atexit.register(print)"))
            assert len(tries) == 3
        """,
        "--reruns=2",
        "-n1",
    )
    assert summary(result)[0] == "3 runs: 3 handlers ran"
