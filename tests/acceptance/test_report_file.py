"""The file on all runs of a session: --atexit-report."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit._report import _facts

Inner = Callable[..., pytest.RunResult]

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))
SUITE = """
import pytest

PROGRAM = '''
import atexit, os, weakref
def close(path, mode="w"): pass
def flush(): raise OSError("disk \\\\udc80 full")
atexit.register(close, "app.db", mode=float("inf"))
atexit.register(flush)
class Thing: pass
thing = Thing()
weakref.finalize(thing, print)
if os.fork():
    os.wait()
'''

def test_returns(capexit):
    capexit.run(PROGRAM, allow_failures=True)

def test_killed(capexit):
    capexit.run(PROGRAM, ending="SIGKILL")

def test_unrecorded(capexit):
    with pytest.raises(Exception, match="not recorded"):
        capexit.run("pass", python_args=["-S"])
"""


@pytest.mark.parametrize("options", [[], ["-n2"]], ids=["one process", "two workers"])
def test_json_holds_all_runs(inner: Inner, tmp_path: Path, options: list[str]) -> None:
    """It keeps to its schema, and says of each run and handler what the test could see."""
    jsonschema = pytest.importorskip("jsonschema")
    file = tmp_path / "new" / "exits.json"
    result = inner(SUITE, f"--atexit-report={file}", *options)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"*generated exit report: {file}*"])
    report = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["summary"] == {"runs": 3, "ran": 4, "failed": 2, "unfinished": 0, "skipped": 4}
    runs = {run["test"].rpartition("::")[2]: run for run in report["runs"]}
    assert runs.keys() == {"test_returns", "test_killed", "test_unrecorded"}
    assert len({run["id"] for run in report["runs"]}) == 3
    main, child = runs["test_returns"]["processes"]
    assert (main["role"], child["role"], child["parent_pid"]) == ("main", "fork", main["pid"])
    assert 0 == main["started"] < child["started"]
    called = [each for each in main["timeline"] if each["named"]]
    assert [(each["name"], each["state"], each["args"], each["kwargs"]) for each in called] == [
        ("flush", "failed", [], {}),
        ("close", "ran", ["'app.db'"], {"mode": "inf"}),
    ]
    assert called[0]["exception"]["type"] == "OSError"
    assert runs["test_killed"]["reason"] == "SIGKILL ended it at once: no program can handle that"
    assert runs["test_killed"]["status"] == {"code": None, "signal": "SIGKILL", "text": "killed by SIGKILL"}
    assert runs["test_unrecorded"]["state"] == "not recorded"
    assert runs["test_unrecorded"]["status"]["code"] == 0


def test_a_worker_that_crashes_in_a_test_takes_no_run_along(inner: Inner, tmp_path: Path) -> None:
    """What ended is there as ever, and what had not ended as running, in the summary as in the file."""
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("xdist")
    file = tmp_path / "exits.json"
    result = inner(
        """
        import os, signal
        import pytest

        UP = "import atexit, time; atexit.register(print); print('up', flush=True); time.sleep(60)"

        def test_crashes(capexit):
            capexit.run("import atexit; atexit.register(print, 'half a \\\\udc80', file=None)")
            with capexit.start(UP) as program:
                program.wait_for_output("up")
            program = capexit.start(UP)
            program.wait_for_output("up")
            with pytest.raises(Exception, match="still running after 0 s"):
                program.wait(timeout=0)
            with pytest.raises(Exception, match="not recorded"):
                capexit.run("pass", python_args=["-S"])
            capexit.start(UP).wait_for_output("up")
            os.kill(os.getpid(), signal.SIGKILL)

        def test_ends(capexit):
            capexit.run("import atexit; atexit.register(print)")
        """,
        f"--atexit-report={file}",
        "-n2",
        "--max-worker-restart=0",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "6 runs: 2 handlers ran, 2 skipped, 1 program not recorded, 1 program running",
            "skipped by SIGKILL (2):",
            "  print  *.py::test_crashes",
            "running when their worker ended (1):",
            "  *.py::test_crashes",
        ],
        consecutive=True,
    )
    report = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    runs = [run for run in report["runs"] if run["test"].endswith("::test_crashes")]
    assert [(run["state"], run["status"] and run["status"]["text"]) for run in runs] == [
        ("recorded", "exit code 0"),
        ("recorded", "killed by SIGKILL"),
        ("recorded", "killed by SIGKILL"),
        ("not recorded", "exit code 0"),
        ("running", None),
    ]
    (called,) = runs[0]["processes"][0]["timeline"]
    assert (called["name"], called["state"], called["args"]) == ("print", "ran", [r"'half a \udc80'"])
    for run in runs[1:3]:
        assert [each["state"] for each in run["processes"][0]["handlers"]] == ["skipped"]


@pytest.mark.slow
def test_a_worker_that_is_not_on_this_host_says_all_at_its_end(inner: Inner, tmp_path: Path) -> None:
    """It finds nothing where the controller wants its runs, or a file that is none of ours, which it leaves alone."""
    pytest.importorskip("xdist")
    file, other = tmp_path / "exits.json", tmp_path / "other"
    other.write_text("theirs", encoding="utf-8")
    for path in other, tmp_path / "missing":
        (tmp_path / "descriptor").unlink(missing_ok=True)
        (tmp_path / "descriptor").symlink_to(path)
        result = inner(
            f"""
            import pytest

            @pytest.hookimpl(trylast=True)
            def pytest_configure_node(node):
                node.workerinput["atexit_mailbox"][0] = {str(tmp_path / "descriptor")!r}

            @pytest.mark.parametrize("number", range(2))
            def test_it(capexit, number):
                capexit.run("import atexit; atexit.register(print, '\\udc80', file=None)")
            """,
            f"--atexit-report={file}",
            "-n1",
            "-ptest_a_worker_that_is_not_on_this_host_says_all_at_its_end",
        )
        result.assert_outcomes(passed=2)
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
        assert [run["state"] for run in runs] == ["recorded", "recorded"]
        assert other.read_text(encoding="utf-8") == "theirs"
        assert not (tmp_path / "missing").exists()


@pytest.mark.slow
def test_workers_that_ctrl_c_ends_are_heard(inner: Inner, tmp_path: Path) -> None:
    """Nobody says that they are gone; what they ran is in the file all the same."""
    pytest.importorskip("xdist")
    file = tmp_path / "exits.json"
    result = inner(
        """
        import os, signal

        def test_it(capexit):
            capexit.run("import atexit; atexit.register(print)")
            os.kill(os.getppid(), signal.SIGINT)
            signal.pause()
        """,
        f"--atexit-report={file}",
        "-n1",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (run,) = json.loads(file.read_text(encoding="utf-8"))["runs"]
    assert (run["state"], run["test"].rpartition("::")[2]) == ("recorded", "test_it")


def test_it_is_written_whole_and_for_all_to_read(inner: Inner, tmp_path: Path) -> None:
    """An older one is replaced, nothing else is left beside it, and a session without programs has one, too."""
    file = tmp_path / "out" / "x.JSON"
    file.parent.mkdir()
    file.write_text("old", encoding="utf-8")
    inner("def test_it(): pass", "-o", f"atexit_report={file}").assert_outcomes(passed=1)
    assert json.loads(file.read_text(encoding="utf-8"))["runs"] == []
    assert os.listdir(file.parent) == [file.name]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("x.txt", "--atexit-report: a path that ends in .json or .html is needed, not '*x.txt'"),
        ("x", "--atexit-report: a path that ends in .json or .html is needed, not '*x'"),
        ("file/x.json", "--atexit-report: *x.json can't be written: *"),
        ("folder.json", "--atexit-report: *folder.json can't be written: it is a folder"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(inner: Inner, tmp_path: Path, path: str, said: str) -> None:
    """It is said before the first test, and not when all is over."""
    (tmp_path / "file").touch()
    (tmp_path / "folder.json").mkdir()
    result = inner("def test_it(): pass", f"--atexit-report={tmp_path / path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])


def test_a_folder_that_goes_meanwhile_is_told(inner: Inner, tmp_path: Path) -> None:
    """Then the session is no success, and says why."""
    folder = tmp_path / "out"
    result = inner(f"def test_it(): __import__('os').rmdir({str(folder)!r})", f"--atexit-report={folder / 'x.json'}")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines([f"{folder / 'x.json'} could not be written: *No such file or directory*"])


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("run", _facts.RunFacts),
        ("status", _facts.StatusFacts),
        ("process", _facts.ProcessFacts),
        ("handler", _facts.HandlerFacts),
        ("exception", _facts.ExceptionFacts),
    ],
)
def test_the_schema_names_every_field(name: str, facts: type) -> None:
    """What we write and what is documented are the same, also where no run of a test has it."""
    schema = SCHEMA["$defs"][name]
    assert list(schema["properties"]) == schema["required"] == list(facts.__annotations__)
