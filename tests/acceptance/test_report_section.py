"""The section "capexit" of a failing test: what its programs did."""

import textwrap
from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]
Sections = Callable[..., list[str]]
Steady = Callable[[object], str]


def words(text: str) -> list[list[str]]:
    """Columns are padded to what they hold: lines and words are compared."""
    return [line.split() for line in textwrap.dedent(text).strip("\n").splitlines()]


def test_a_plain_assert_gets_the_section(inner: Inner, sections: Sections, steady: Steady) -> None:
    """Command, status, exit timeline and output are shown, though no assertion of ours failed."""
    result = inner(
        """
        def test_it(capexit):
            program = '''
            import atexit
            def close(path): pass
            atexit.register(close, "app.db")
            atexit.register(print, "bye")
            print("hello")
            '''
            result = capexit.run(program)
            assert result.ran == ["close"]
        """
    )
    result.assert_outcomes(failed=1)
    (section,) = sections(result)
    command, _, rest = steady(section).partition("\n")
    assert command.startswith("$ ")
    assert command.endswith("RUN/program.py")
    assert words(rest) == words(
        """
        status: exit code 0 (ended by return)
        exit timeline of process N (main):
          T s  ran  print('bye')     T ms  registered at program.py:5
          T s  ran  close('app.db')  T ms  registered at program.py:4
        stdout:
          hello
          bye
        """
    )


def test_children_are_in_the_section(inner: Inner, sections: Sections, steady: Steady) -> None:
    """A forked child that had handlers has a timeline of its own."""
    result = inner(
        """
        def test_it(capexit):
            program = '''
            import atexit, os
            atexit.register(len, "x")
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
            '''
            assert capexit.run(program).ran == []
        """
    )
    (section,) = sections(result)
    assert words(steady(section).partition("\n")[2]) == words(
        """
        status: exit code 0 (ended by return)
        exit timeline of process N (main):
          T s  ran  len('x')  T ms  registered at program.py:3

        exit timeline of process N (fork):
          T s  ran  len('x')  T ms  registered at program.py:3, inherited
        """
    )


def test_all_programs_of_a_test_are_in_one_section(inner: Inner, sections: Sections) -> None:
    """They stand in the order in which they were started."""
    result = inner(
        """
        def test_it(capexit):
            capexit.run("print('first')")
            capexit.run("print('second')")
            assert False
        """
    )
    (section,) = sections(result)
    assert section.count("status: exit code 0 (ended by return)") == 2
    assert section.index("first") < section.index("second")


def test_a_program_that_ended_unnoticed_has_its_timeline(inner: Inner, sections: Sections) -> None:
    """A test that fails before it asks for the result shows status and exit timeline all the same."""
    result = inner(
        """
        import pytest
        from pytest_atexit import ProgramEnded

        def test_it(capexit):
            program = capexit.start("import atexit; atexit.register(len, 'x'); raise SystemExit(7)")
            with pytest.raises(ProgramEnded):
                program.wait_for_output("ready")
            assert False
        """
    )
    result.assert_outcomes(failed=1)
    (section,) = sections(result)
    assert "status: exit code 7" in section
    assert "ran  len('x')" in section


def test_a_test_that_ran_nothing_has_no_section(inner: Inner, sections: Sections) -> None:
    """There is nothing to say."""
    result = inner("def test_it(capexit):\n    assert False\n")
    result.assert_outcomes(failed=1)
    assert sections(result) == []


@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_programs_of_a_wider_scope_are_shown(inner: Inner, sections: Sections, scope: str) -> None:
    """Each failing test that uses the fixture shows them once, whoever ran them; one that doesn't use it has none."""
    result = inner(
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def slow({scope}_capexit):
            return {scope}_capexit.run("import atexit; atexit.register(len, 'marker')")

        class TestIt:
            def test_one(self, slow):
                assert slow.ran == []

            def test_two(self, slow):
                assert slow.ran == ["len"]

            def test_three(self, slow, {scope}_capexit):
                assert slow.ran == []

            def test_plain(self):
                assert False

            def test_other(self, capexit):
                capexit.run("import atexit; atexit.register(len, 'mine')")
                assert False
        """
    )
    result.assert_outcomes(passed=1, failed=4)
    shown = sections(result)
    assert [section.count("ran  len('marker')") for section in shown] == [1, 1, 0]
    assert "len('mine')" in shown[2]


def test_a_fixture_that_fails_has_the_section(inner: Inner, sections: Sections) -> None:
    """An error in the setup is a failure with programs, too."""
    result = inner(
        """
        import pytest

        @pytest.fixture
        def broken(capexit):
            result = capexit.run("import atexit; atexit.register(len, 'x')")
            assert result.ran == []

        def test_it(broken):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    (section,) = sections(result)
    assert "ran  len('x')" in section


def test_xdist_transports_the_section(inner: Inner, sections: Sections) -> None:
    """What a worker saw, the controller shows, once."""
    pytest.importorskip("xdist")
    result = inner(
        """
        def test_it(capexit):
            assert capexit.run("import atexit; atexit.register(len, 'x')").ran == []
        """,
        "-n1",
    )
    result.assert_outcomes(failed=1)
    (section,) = sections(result)
    assert "ran  len('x')" in section


HALVES = """
        import pytest

        PROGRAM = '''
        import atexit
        def close(path): raise OSError("half \\\\udc80")
        close.__qualname__ = "cl\\\\udc80se"
        atexit.register(close, "\\\\ud83d")
        '''
        SLEEPS = "import time; time.sleep(60)"

        def test_section(capexit):
            assert capexit.run(PROGRAM, allow_failures=True).ran == []

        def test_failed(capexit):
            capexit.run(PROGRAM)

        def test_assertion(capexit):
            result = capexit.run(PROGRAM, allow_failures=True)
            result.assert_not_ran(*result.registered)

        def test_unknown(capexit):
            capexit.run(PROGRAM, allow_failures=True).assert_ran("other")

        def test_unattended(capexit):
            program = capexit.start(PROGRAM)
            program.wait_for(lambda: " ended: " in repr(program))

        @pytest.mark.atexit(must_run=["SIGKILL"])
        def test_skipped(capexit):
            capexit.run(PROGRAM, ending="SIGKILL")

        def test_timeout(capexit):
            capexit.run(SLEEPS, "\\udc80", timeout=0.1)

        def test_launch(capexit):
            capexit.run(["no-such-command-\\udc80"])

        def test_story(capexit):
            capexit.run(PROGRAM, allow_failures=True).story().encode("utf-8")

        def test_killed(capexit):
            capexit.start(SLEEPS, "\\udc80")
"""


@pytest.mark.parametrize("options", [[], ["-n2"]], ids=["one process", "two workers"])
def test_half_characters_are_shown_escaped(inner: Inner, sections: Sections, options: list[str]) -> None:
    """In names, arguments, messages and command lines: no terminal takes them, and no worker could send them."""
    result = inner(HALVES, "-rP", *options)
    result.assert_outcomes(passed=2, failed=8)
    text = result.stdout.str()
    assert "HandlerFailed: a handler raised, which Python itself ignores (exit code 0): cl\\udc80se (OSE" in text
    assert any("    cl\\udc80se raised:\n" in section for section in sections(result))
    assert any(line.endswith("program.py '\\udc80'") for line in result.outlines if line.startswith("killed at"))


def test_what_was_killed_is_named_for_a_passing_test(inner: Inner, sections: Sections, steady: Steady) -> None:
    """Where pytest shows the output of passing tests, each process that had to be killed is named there."""
    result = inner(
        """
        def test_it(capexit):
            program = capexit.start("print('ready', flush=True); import time; time.sleep(60)")
            program.wait_for_output("ready")
            print(f"pid={program.pid}")
        """,
        "-rP",
    )
    result.assert_outcomes(passed=1)
    pid = next(line for line in result.outlines if line.startswith("pid=")).removeprefix("pid=")
    (section,) = sections(result, "Captured capexit teardown")
    assert section.startswith(f"killed at the end of the test: process {pid} of ")
    assert steady(section).endswith("RUN/program.py")


def test_nothing_is_said_where_nothing_was_killed(inner: Inner, sections: Sections) -> None:
    """A test that ends its programs has no such section."""
    result = inner(
        """
        def test_it(capexit):
            with capexit.start("import time; time.sleep(60)"):
                pass
            capexit.run("pass")
        """,
        "-rP",
    )
    result.assert_outcomes(passed=1)
    assert sections(result, "Captured capexit teardown") == []


HANGS = """
        import pytest

        PROGRAM = '''
        import atexit, threading
        atexit.register(print, "later")
        @atexit.register
        def close():
            print("closing", flush=True)
            threading.Event().wait()
        '''
"""


def states(section: str) -> set[str]:
    """State and name of each row of a timeline."""
    return {" ".join(line.split(" registered at ")[0].split()[-2:]) for line in section.splitlines()}


def test_a_running_handler_is_in_the_section(inner: Inner, sections: Sections) -> None:
    """A test that fails while a handler hangs shows which one, and which ones wait for it."""
    result = inner(
        HANGS
        + """
        def test_it(capexit):
            capexit.start(PROGRAM).wait_for_output("closing")
            assert False
        """
    )
    result.assert_outcomes(failed=1)
    (section,) = sections(result)
    assert {"running close()", "registered print('later')"} <= states(section)


@pytest.mark.slow
def test_a_test_that_pytest_timeout_ends_names_the_handler(inner: Inner, sections: Sections) -> None:
    """Its limit may be lower than that of the program."""
    pytest.importorskip("pytest_timeout")
    result = inner(
        HANGS
        + """
        @pytest.mark.timeout(15)
        def test_it(capexit):
            capexit.run(PROGRAM)
        """
    )
    result.assert_outcomes(failed=1)
    (section,) = sections(result)
    assert "running close()" in states(section)
