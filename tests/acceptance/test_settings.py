"""Settings: which source of them wins, and what is said to a wrong value."""

from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]

# The child ends after a second: the default of two seconds is long enough to wait for it, and 0.1 s is not.
LEAVES = """
import pytest

PROGRAM = '''
import os, select
if os.fork() == 0:
    select.select([], [], [], 1)
'''

def test_it(capexit):
    print("LEFT", len(capexit.run(PROGRAM).left_running))

@pytest.mark.atexit(linger=0.1)
def test_marked(capexit):
    assert len(capexit.run(PROGRAM).left_running) == 1
"""


@pytest.mark.parametrize(
    ("options", "left"),
    [([], 0), (["-o", "atexit_linger=0.1"], 1), (["-o", "atexit_linger=0.1", "--atexit-linger=20"], 0)],
    ids=["default", "ini", "command line"],
)
def test_linger(inner: Inner, options: list[str], left: int) -> None:
    """What outlives the program longer than that is in `left_running`; the marker goes before all others."""
    result = inner(LEAVES, "-rP", *options)
    result.assert_outcomes(passed=2)
    assert f"LEFT {left}" in result.outlines


def test_the_closest_goes_before_the_others(inner: Inner) -> None:
    """The argument of `run`, then a test's own marker, that of its class, that of the module, the command line."""
    result = inner(
        """
        import pytest

        pytestmark = pytest.mark.atexit(timeout=20, linger=20)
        HANGS = "import threading; threading.Event().wait()"

        @pytest.mark.atexit(timeout=20)
        class TestIt:
            @pytest.mark.atexit(timeout=0.3)
            def test_marker(self, capexit):
                with pytest.raises(Exception, match="still running after 0.3 s"):
                    capexit.run(HANGS)

            def test_argument(self, capexit):
                with pytest.raises(Exception, match="still running after 0.2 s"):
                    capexit.run(HANGS, timeout=0.2)
        """
    )
    result.assert_outcomes(passed=2)


def test_a_marker_of_the_scope_counts_for_its_fixture(inner: Inner, pytester: pytest.Pytester) -> None:
    """A marker on a class or module counts for class_capexit and module_capexit."""
    test = """
    import pytest

    mark = pytest.mark.atexit(timeout=0.3)
    {module}

    {above}
    class TestIt:
        def test_it(self, {scope}_capexit):
            with pytest.raises(Exception, match="still running after 0.3 s"):
                {scope}_capexit.run("import threading; threading.Event().wait()")
    """
    pytester.makepyfile(test_class=test.format(scope="class", module="", above="@mark"))
    result = inner(test.format(scope="module", module="pytestmark = mark", above=""), "--atexit-timeout=1")
    result.assert_outcomes(passed=2)


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


def test_a_wrong_marker_shows_none_of_our_code(inner: Inner) -> None:
    """It is an error of its test alone: one message, and no traceback through the plugin."""
    result = inner(
        """
        import pytest

        @pytest.mark.atexit(foo=1)
        def test_unknown(capexit):
            pass

        @pytest.mark.atexit(3)
        def test_nameless(capexit):
            pass

        @pytest.mark.atexit(timeout="abc")
        def test_no_number(capexit):
            pass

        def test_other(capexit):
            pass
        """
    )
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.no_fnmatch_line("*_settings.py*")
