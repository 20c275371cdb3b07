"""The plugin in a pytest run: fixtures, options, report sections, other plugins, and nothing left behind."""

import os
import textwrap
from pathlib import Path

import pytest

import pytest_atexit


@pytest.fixture
def run(pytester, monkeypatch, tmp_path):
    """A function that writes a test file and runs it in a pytest of its own, with a temporary folder of its own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))

    def running(text, *options):
        pytester.makepyfile(textwrap.dedent(text))
        return pytester.runpytest_subprocess(*options)

    running.temporary = temporary
    return running


def test_the_tests_run_against_what_is_installed():
    """The package under test is this one, from the checkout or from a wheel."""
    assert Path(pytest_atexit.__file__).with_name("py.typed").exists()


def test_a_failing_test_shows_the_exit_timeline(run, steady):
    """Also for a plain assert; status, reason, timeline, and what the program wrote."""
    result = run(
        """
        def test_it(capexit):
            result = capexit.run("import atexit; atexit.register(print); print('hello')", ending="SIGTERM")
            assert result.ran == ["print"]
        """
    )
    result.assert_outcomes(failed=1)
    lines = steady(result.stdout.str()).splitlines()
    start = next(index for index, line in enumerate(lines) if line.strip("-") == " capexit ")
    assert lines[start + 1].endswith("RUN/program.py")
    assert lines[start + 2 : start + 6] == [
        "status: killed by SIGTERM",
        "reason: SIGTERM had its default action: no signal handler was installed",
        "exit timeline of process N (main):",
        "    skipped  print()    registered at program.py:1",
    ]
    result.stdout.fnmatch_lines(["*assert [[]] == [[]'print'[]]*"])


def test_a_passing_test_shows_nothing(run):
    """Only a failing one needs it."""
    result = run(
        """
        def test_it(capexit):
            capexit.run("import atexit; atexit.register(print)")
        """,
        "-rA",
    )
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*capexit*timeline*")
    result.stdout.no_fnmatch_line("*exit timeline*")


def test_a_running_program_is_shown_with_its_output(run):
    """Where there is no result yet."""
    result = run(
        """
        def test_it(capexit):
            program = capexit.start("import time; print('hello', flush=True); time.sleep(60)")
            program.wait_for_output("hello")
            assert not program
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["<RunningProgram * running: *program.py>", "stdout:", "  hello"])


def test_what_runs_at_the_end_of_a_test_is_killed_and_named(run):
    """It is no outcome of its own: the test passes."""
    result = run(
        """
        import os, pytest

        def test_it(capexit):
            global pid
            pid = capexit.start("import time; time.sleep(60)").pid

        def test_it_is_gone():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

        def test_it_is_named(capexit):
            capexit.start("import time; time.sleep(60)")
            assert False
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*capexit teardown*", "killed at the end of the test: process * of */program.py"])


@pytest.mark.slow  # as in test_unattended.py
def test_an_unattended_program_is_held_to_the_rule(run):
    """A program that ended by itself, nobody waited for it, and a handler raised: the test fails, in its call."""
    result = run(
        """
        def test_it(capexit):
            program = capexit.start("import atexit; atexit.register(lambda: 1 / 0)")
            program.wait_for(lambda: " ended: " in repr(program))
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["HandlerFailed: a handler raised, which Python itself ignores (exit code 0): <lambda> *"]
    )


@pytest.mark.slow  # as in test_report_section.py
@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_wider_scopes(run, scope):
    """One slow program, several tests; a failing one shows it."""
    result = run(
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def result({scope}_capexit):
            return {scope}_capexit.run("import atexit; atexit.register(print)")

        class Test:
            def test_ran(self, result):
                assert result.ran == ["print"]

            def test_fails(self, result):
                assert result.ran == []
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- capexit -*", "*status: exit code 0 (ended by return)"])


def test_settings(run, pytester):
    """The marker goes before the command line, that before the ini file, that before the default."""
    test = """
        import pytest

        {mark}
        def test_it(capexit):
            with pytest.raises(Exception, match=r"still running after {seconds} s"):
                capexit.run("import time; time.sleep(60)")
    """
    pytester.makeini("[pytest]\natexit_timeout = 0.2\n")
    run(test.format(mark="", seconds="0.2")).assert_outcomes(passed=1)
    pytester.makeini("[pytest]\natexit_timeout = 7\n")
    pytester.makepyfile(test_marker=test.format(mark="@pytest.mark.atexit(timeout=0.4)", seconds="0.4"))
    run(test.format(mark="", seconds="0.3"), "--atexit-timeout=0.3").assert_outcomes(passed=2)


def test_a_setting_that_makes_no_sense(run):
    """It says what is needed."""
    marks = {
        "timeout='soon'": "@pytest.mark.atexit(timeout=…): a number of seconds is needed, not 'soon'",
        "linger=-1": "@pytest.mark.atexit(linger=…): a number of seconds is needed, not -1",
        "speed=5": "@pytest.mark.atexit takes timeout=, linger=, launcher=, preload=, guard=, must_run=, "
        "not {'speed': 5}",
    }
    tests = [f"@pytest.mark.atexit({mark})\ndef test_{number}(capexit): pass\n" for number, mark in enumerate(marks)]
    result = run("import pytest\n" + "\n".join(tests))
    result.assert_outcomes(errors=3)
    for text in marks.values():
        assert text in result.stdout.str()


def test_a_wrong_marker_is_one_error(run):
    """It is told at the setup of its test alone: with a guard, too, without our frames and an error of the teardown."""
    marks = ["guard='eror'", "timout=3", "must_run=['SIGTREM']", "3"]
    tests = [f"@pytest.mark.atexit({mark})\ndef test_{number}(capexit): pass\n" for number, mark in enumerate(marks)]
    result = run("import pytest\ndef test_it(): pass\n" + "\n".join(tests), "--atexit-guard=warn")
    result.assert_outcomes(errors=len(marks), passed=1)
    result.stdout.no_fnmatch_line("*plugin.py*")
    result.stdout.fnmatch_lines(["@pytest.mark.atexit(guard=…): one of off, warn, error is needed, not 'eror'"])


def test_options_are_documented(run):
    """`pytest --help` and `--markers` and `--fixtures` tell."""
    text = run("", "--help").stdout.str()
    assert "--atexit-timeout=SECONDS" in text
    assert "atexit_linger" in text
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.atexit(timeout=*"])
    run("", "--fixtures").stdout.fnmatch_lines(["capexit -- *", "    Run programs in child interpreters*"])


def test_it_can_be_switched_off(run, autoload):
    """By the name that pytest knows it under."""
    result = run("def test_it(capexit): pass", "-p", "no:atexit")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'capexit' not found*"])


@pytest.mark.parametrize("options", [["-s"], ["--import-mode=importlib", "-p", "no:timeout"], ["-n2"]])
def test_it_works_under(run, autoload, options):
    """Output shown, files imported otherwise, and parallel workers; loaded by its entry point."""
    result = run(
        """
        import pytest
        import os

        ANSWER = 42

        @pytest.mark.parametrize("number", range(4))
        def test_it(capexit, number):
            def program(number):
                import atexit

                atexit.register(print, number + ANSWER, flush=True)

            result = capexit.run(program, number)
            assert result.stdout == f"{number + 42}\\n"
            assert result.ran == ["print"]
        """,
        *options,
    )
    result.assert_outcomes(passed=4)


def test_in_a_unittest_test_case(run):
    """The recipe of docs/recipes.md."""
    result = run(
        """
        import unittest
        import pytest

        class ExitTest(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _capexit(self, capexit):
                self.capexit = capexit

            def test_closes(self):
                result = self.capexit.run("import atexit; atexit.register(print, 'closed')")
                self.assertEqual(result.ran, ["print"])

            def test_fails(self):
                self.assertEqual(self.capexit.run("import atexit; atexit.register(print)").ran, [])
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- capexit -*", "*status: exit code 0 (ended by return)"])


@pytest.mark.slow  # as in test_beside_fakes.py
@pytest.mark.parametrize("fixtures", ["fp, capexit", "capexit, fp"])
def test_beside_a_fake_of_subprocess(run, load, fixtures):
    """pytest-subprocess's fake stands in for the test's own processes and not for ours."""
    load("pytest-subprocess")
    result = run(
        f"""
        import subprocess

        def test_it({fixtures}):
            fp.register(["docker", "ps"], stdout="fake")
            assert capexit.run("import atexit; atexit.register(print, 'real')").stdout == "real\\n"
            assert subprocess.check_output(["docker", "ps"]) == b"fake"
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow  # as in test_nothing_left.py
def test_nothing_is_left(run, lives):
    """No folder, and no process of any session that a run has led."""
    result = run(
        """
        import pytest

        def test_run(capexit):
            capexit.run("import atexit; atexit.register(print)")

        def test_left(capexit):
            result = capexit.run("import os, time\\nif os.fork() == 0: os.setsid(); time.sleep(60)")
            print("PID", *result.left_running)

        def test_started(capexit):
            print("PID", capexit.start("import time; time.sleep(60)").pid)

        def test_timeout(capexit):
            with pytest.raises(Exception) as caught:
                capexit.run("import time; time.sleep(60)", timeout=0.2)
            print("PID", caught.value.result.pid)
        """,
        "-rP",
        "--atexit-linger=0.1",
    )
    result.assert_outcomes(passed=4)
    pids = [int(line.split()[1]) for line in result.outlines if line.startswith("PID ")]
    assert len(pids) == 3
    assert not [pid for pid in pids if lives(pid)]
    assert [entry for entry in os.listdir(run.temporary) if not entry.startswith("pytest-of-")] == []


def test_an_idle_plugin_imports_next_to_nothing(run):
    """A session that doesn't use the fixtures doesn't pay for them."""
    result = run(
        """
        import sys

        def test_it():
            ours = sorted(name for name in sys.modules if name.startswith("pytest_atexit"))
            assert ours == ["pytest_atexit", "pytest_atexit._settings", "pytest_atexit.plugin"]
        """
    )
    result.assert_outcomes(passed=1)
