"""--atexit-guard: tests that leave handlers in the pytest process."""

import pytest

LEAVES = """
import atexit, os, sys
from atexit import register, unregister
import pytest

def shout(text):
    print(text, file=sys.__stderr__, flush=True)

register(shout, "of the file")

@pytest.fixture(scope="session")
def server():
    def stop(): shout("of the server")
    register(stop)
    yield
    unregister(stop)

@pytest.fixture(scope="module")
def careless():
    register(shout, "of careless")

def setup_module():
    register(shout, "of setup_module")

@pytest.fixture
def tidy():
    register(len, "x")
    yield
    unregister(len)

def test_tidy(server, tidy): pass

def test_leaves(careless):
    register(shout, "of a test")
    register(os._exit, 0)

@pytest.mark.atexit(guard="off")
def test_may():
    register(shout, "of one that may")

def test_registry(atexit_registry):
    register(shout, "of a registry")

def test_library():
    import a_library

def test_finds_what_was_registered_before():
    def handler(): ...
    count = atexit._ncallbacks()
    register(handler)
    assert atexit._ncallbacks() == count + 1
    unregister(handler)

def test_fails(): assert 0
"""


@pytest.fixture
def a_library(tmp_path, monkeypatch):
    """Something installed that registers a handler when it is imported."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "a_library.py").write_text(
        "import atexit, sys\natexit.register(lambda: print('of a library', file=sys.__stderr__))"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")


@pytest.mark.usefixtures("a_library")
def test_error_names_them(inner):
    """The test has an error, with each handler and its line; none of these runs, and pytest's exit code is its own."""
    result = inner(LEAVES, "--atexit-guard=error")
    result.assert_outcomes(passed=6, failed=1, errors=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    file = "test_error_names_them.py"
    source = [line.strip() for line in LEAVES.splitlines()]
    left = [
        ("test_leaves", "shout('of a test')", 'register(shout, "of a test")', ""),
        ("test_leaves", "_exit(0)", "register(os._exit, 0)", ""),
        ("test_tidy", "shout('of setup_module')", 'register(shout, "of setup_module")', ", in setup_module"),
        (
            "test_leaves",
            "shout('of careless')",
            'register(shout, "of careless")',
            ", while the fixture careless was set up",
        ),
    ]
    assert [line for line in result.outlines if line.startswith(file) and "left a handler" in line] == [
        f"{file}::{test} left a handler in the pytest process: {handler}, "
        f"registered at {file}:{source.index(line)}{more}"
        for test, handler, line, more in left
    ]
    assert result.errlines == ["of a library", "of one that may", "of the file"]


def test_warn_keeps_the_outcomes(inner):
    """With `warn` in the ini file, the test passes with a warning of the same text; the exit code is its own."""
    source = """
    import os
    from atexit import register

    def test_leaves():
        register(os._exit, 0)

    def test_fails(): assert 0
    """
    result = inner(source, "-o", "atexit_guard=warn")
    result.assert_outcomes(passed=1, failed=1, warnings=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*test_leaves left a handler*: _exit(0), registered at *.py:5", "*It was taken out*"])


def test_off_touches_nothing(inner):
    """Nothing is exchanged, nothing imported, and a handler that leaves with 0 makes pytest report success."""
    result = inner(
        """
        import atexit, os, sys

        def test_it(request):
            assert not [name for name in sys.modules if name.startswith("pytest_atexit._registry")]
            assert not request.config.pluginmanager.has_plugin("atexit_guard")
            atexit.register(os._exit, 0)

        def test_fails(): assert 0
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 0


def test_a_marker_asks_for_it(inner):
    """Without any option, and only for its test; of one that is expected to fail, a warning, for errors don't count."""
    result = inner(
        """
        import pytest
        from atexit import register

        @pytest.mark.atexit(guard="error")
        def test_guarded(): register(len, "x")

        @pytest.mark.xfail
        @pytest.mark.atexit(guard="error")
        def test_expected(): register(len, "z"); assert 0

        def test_other(): register(len, "y")
        """
    )
    result.assert_outcomes(passed=2, errors=1, xfailed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_guarded left a handler in the pytest process: len('x'), registered at *:5"])
    result.stdout.fnmatch_lines(["*PytestWarning: *test_expected left a handler *: len('z'), registered at *:9"])


@pytest.mark.parametrize(
    ("mark", "options", "message"),
    [
        ("", ["--atexit-guard=no"], "--atexit-guard: one of off, warn, error is needed, not 'no'"),
        ("@pytest.mark.atexit(guard=1)", [], "@pytest.mark.atexit(guard=…): one of off, warn, error is needed, not 1"),
    ],
)
def test_wrong_values(inner, mark, options, message):
    """They end the run before its first test."""
    result = inner(f"import pytest\n{mark}\ndef test_it(): pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in "\n".join(result.errlines + result.outlines)


@pytest.mark.slow
def test_in_workers(inner):
    """With pytest-xdist, errors of the workers' tests are reported, and what is left ends no worker."""
    result = inner(
        """
        import os, pytest
        from atexit import register

        @pytest.mark.parametrize("n", range(4))
        def test_it(n): register(os._exit, n)
        """,
        "-n2",
        "--atexit-guard=error",
    )
    result.assert_outcomes(passed=4, errors=4)
    assert "crashed" not in result.stdout.str()
