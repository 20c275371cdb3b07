"""Settings: which source of them wins, and what is said to a wrong value."""

from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]

# The child ends after a second: the default of two seconds is long enough to wait for it, and 0.1 s is not.
LEAVES = """
import pytest

{mark}
def test_it(capexit):
    result = capexit.run('''
    import os, select
    if os.fork() == 0:
        select.select([], [], [], 1)
    ''')
    assert len(result.left_running) == {left}
"""


@pytest.mark.parametrize(
    ("options", "mark", "left"),
    [
        ([], "", 0),
        (["-o", "atexit_linger=0.1"], "", 1),
        (["-o", "atexit_linger=0.1", "--atexit-linger=20"], "", 0),
        (["-o", "atexit_linger=20", "--atexit-linger=20"], "@pytest.mark.atexit(linger=0.1)", 1),
    ],
    ids=["default", "ini", "command line", "marker"],
)
def test_linger(inner: Inner, options: list[str], mark: str, left: int) -> None:
    """What outlives the program longer than that is in `left_running`; the marker goes before the command line."""
    inner(LEAVES.format(mark=mark, left=left), *options).assert_outcomes(passed=1)


def test_an_argument_goes_before_every_setting(inner: Inner) -> None:
    """`run(timeout=)` is the closest of all."""
    result = inner(
        """
        import pytest

        @pytest.mark.atexit(timeout=20)
        def test_it(capexit):
            with pytest.raises(Exception, match="still running after 0.3 s"):
                capexit.run("import threading; threading.Event().wait()", timeout=0.3)
        """
    )
    result.assert_outcomes(passed=1)


def test_the_closest_marker_goes_before_the_others(inner: Inner) -> None:
    """A test's own marker goes before that of its class, and that before the module's."""
    result = inner(
        """
        import pytest

        pytestmark = pytest.mark.atexit(timeout=20, linger=20)

        @pytest.mark.atexit(timeout=20)
        class TestIt:
            @pytest.mark.atexit(timeout=0.3)
            def test_it(self, capexit):
                with pytest.raises(Exception, match="still running after 0.3 s"):
                    capexit.run("import threading; threading.Event().wait()")
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("scope", ["class", "module"])
def test_a_marker_of_the_scope_counts_for_its_fixture(inner: Inner, scope: str) -> None:
    """A marker on a class or module counts for class_capexit and module_capexit."""
    result = inner(
        f"""
        import pytest

        mark = pytest.mark.atexit(timeout=0.3)
        {"pytestmark = mark" if scope == "module" else ""}

        {"@mark" if scope == "class" else ""}
        class TestIt:
            def test_it(self, {scope}_capexit):
                with pytest.raises(Exception, match="still running after 0.3 s"):
                    {scope}_capexit.run("import threading; threading.Event().wait()")
        """,
        "--atexit-timeout=1",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--atexit-timeout=abc"], "--atexit-timeout"),
        (["--atexit-linger=-1"], "--atexit-linger"),
        (["--atexit-timeout=nan"], "--atexit-timeout"),
        (["-o", "atexit_timeout=abc"], "atexit_timeout"),
    ],
    ids=["timeout", "linger", "no number", "ini"],
)
def test_a_wrong_option_is_a_usage_error(inner: Inner, options: list[str], named: str) -> None:
    """The run ends before its first test, with a line that names the option and its value."""
    result = inner("def test_it(capexit): pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{named}*{options[-1].partition('=')[2]}*"])


@pytest.mark.parametrize("mark", ["foo=1", "3", "timeout='abc'"])
def test_a_wrong_marker_shows_none_of_our_code(inner: Inner, mark: str) -> None:
    """It is an error of its test alone: one message, and no traceback through the plugin."""
    result = inner(
        f"""
        import pytest

        @pytest.mark.atexit({mark})
        def test_it(capexit):
            pass

        def test_other(capexit):
            pass
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.no_fnmatch_line("*_settings.py*")
