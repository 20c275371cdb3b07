"""The plugin among others: combined with options of pytest, with pytest-subprocess and with pytest-xdist."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Inner = Callable[..., pytest.RunResult]

SUITE = """
import atexit

def close(): pass

def program():
    atexit.register(close)

def test_function(capexit):
    assert capexit.run(program).ran == ["close"]

def test_text(capexit):
    assert capexit.run("import atexit; atexit.register(print)").ran == ["print"]

def test_fails(capexit):
    assert capexit.run(program, ending="SIGKILL").ran == ["close"]
"""


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--capture=sys", "--assert=plain"],
        ["-p", "no:faulthandler", "-W", "error", "--strict-markers", "--strict-config"],
    ],
    ids=lambda options: " ".join(options) or "none",
)
def test_it_works_with(inner: Inner, options: list[str]) -> None:
    """Common options of pytest change nothing in what is recorded."""
    result = inner(SUITE, *options)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["reason: SIGKILL ended it at once: no program can handle that"])


def test_switched_off_it_has_no_options(inner: Inner, autoload: None) -> None:
    """`-p no:atexit` leaves nothing behind that could be set."""
    result = inner("def test_it(): pass", "-p", "no:atexit", "--atexit-timeout=3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unrecognized arguments: --atexit-timeout=3"])


def test_an_active_fake_changes_no_launch(inner: Inner, load: Callable[..., None]) -> None:
    """Where pytest-subprocess answers for every command, capexit still starts real programs, and the fake sees none."""
    load("pytest-subprocess")
    result = inner(
        """
        import pytest

        @pytest.mark.parametrize("fixture", ["capexit", "class_capexit", "module_capexit", "session_capexit"])
        class TestIt:
            def test_it(self, fp, fixture, request):
                capexit = request.getfixturevalue(fixture)
                fp.register([fp.any()], stdout="faked", occurrences=9)
                program = "import atexit; atexit.register(print, 'really')"
                assert capexit.run(program).stdout == "really\\n"
                with capexit.start(program) as started:
                    assert started.wait().ran == ["print"]
                assert list(fp.calls) == []
        """
    )
    result.assert_outcomes(passed=4)


def test_ports_of_workers_that_run_at_once_differ(inner: Inner, tmp_path: Path) -> None:
    """Two workers of pytest-xdist hold their ports at the same time, and no port is handed out twice."""
    pytest.importorskip("xdist")
    os.mkfifo(tmp_path / "meet")
    result = inner(
        f"""
        from pathlib import Path

        FOLDER = Path({str(tmp_path)!r})

        def take(session_capexit, name):
            ports = [str(session_capexit.free_port()) for _ in range(300)]
            (FOLDER / name).write_text(" ".join(ports))

        def test_one(session_capexit):
            take(session_capexit, "one")
            (FOLDER / "meet").write_text("both hold theirs")

        def test_two(session_capexit):
            take(session_capexit, "two")
            (FOLDER / "meet").read_text()
        """,
        "-n2",
    )
    result.assert_outcomes(passed=2)
    ports = [port for name in ("one", "two") for port in (tmp_path / name).read_text().split()]
    assert len(set(ports)) == 600
