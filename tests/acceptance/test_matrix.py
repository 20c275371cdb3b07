"""capexit.matrix: one program under several endings at once, its table, and what it says of failures."""

import io
import signal
import socket
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pytest_atexit import Ending, ExitMatrix, HandlerFailed, LaunchError, ProgramTimeout, UnknownHandler

# What the operating system and Python's documentation say of each ending of a program without signal handlers.
RUNS_HANDLERS = ["return", "sys.exit", "exception", "SIGINT"]
STATUS = {
    Ending.RETURN: 0,
    Ending.SYS_EXIT: 3,
    Ending.EXCEPTION: 1,
    Ending.SIGINT: -signal.SIGINT,
    Ending.SIGTERM: -signal.SIGTERM,
    Ending.SIGHUP: -signal.SIGHUP,
    Ending.SIGQUIT: -signal.SIGQUIT,
    Ending.SIGUSR1: -signal.SIGUSR1,
    Ending.SIGKILL: -signal.SIGKILL,
    Ending.OS_EXIT: 3,
    Ending.ABORT: -signal.SIGABRT,
    Ending.SEGFAULT: -signal.SIGSEGV,
    Ending.FATAL_ERROR: -signal.SIGABRT,
    Ending.EXEC: 0,
}
PROGRAM = """
import atexit, sys
def close(): print("closed")
def flush(): pass
atexit.register(close)
atexit.register(flush)
atexit.register(close)
print(sys.stdin.read())
"""


def test_all_endings_by_default(capexit):
    """Each has the outcome that the language gives it, in the order of Ending, and its stdin and output for itself."""
    matrix = capexit.matrix(PROGRAM, stdin="hello\n")
    assert isinstance(matrix, ExitMatrix)
    assert [*matrix] == [*Ending]
    assert {ending: result.returncode for ending, result in matrix.items()} == STATUS
    for ending, result in matrix.items():
        assert result.ending is ending
        assert result.ran == (["close", "flush", "close"] if ending in RUNS_HANDLERS else [])
        written = "hello\n\nclosed\nclosed\n" if ending in RUNS_HANDLERS else result.stdout
        assert result.stdout == written
    matrix.assert_ran("close", on=RUNS_HANDLERS)
    assert len({result.path for result in matrix.values()}) == len(Ending)


def test_results_are_those_of_single_runs(capexit):
    """What doesn't differ from run to run is the same, in the order in which the endings were given."""
    endings = ["sigkill", Ending.RETURN, signal.SIGTERM]
    matrix = capexit.matrix(PROGRAM, endings=endings, env={"A": "1"}, python_args=["-O"])
    assert [*matrix] == [Ending.SIGKILL, Ending.RETURN, Ending.SIGTERM]
    for ending in endings:
        single = capexit.run(PROGRAM, ending=ending, env={"A": "1"}, python_args=["-O"])
        for name in ("status", "ending", "reason", "stdout", "stderr", "ran", "skipped", "registered"):
            assert getattr(matrix[ending], name) == getattr(single, name)


def test_a_result_is_found_by_what_ending_takes(capexit):
    """By Ending, text in any case and signal; anything else isn't in it."""
    matrix = capexit.matrix(PROGRAM, endings=["os._exit", "SIGTERM"])
    assert matrix["OS_EXIT"] is matrix[Ending.OS_EXIT] is matrix["os._exit"]
    assert matrix["sigterm"] is matrix[signal.SIGTERM]
    assert "return" not in matrix
    assert "nonsense" not in matrix
    with pytest.raises(KeyError, match="nonsense"):
        matrix["nonsense"]


def test_functions_and_files(capexit, tmp_path):
    """Every form of program that takes ending= can be run, with arguments."""

    def program(name):
        import atexit

        def close():
            print(name)

        atexit.register(close)

    file = tmp_path / "app.py"
    file.write_text("import atexit, sys\natexit.register(print, sys.argv[1])\n")
    for each in (program, file):
        matrix = capexit.matrix(each, "x", endings=["return", "SIGKILL"])
        assert [result.stdout for result in matrix.values()] == ["x\n", ""]


def test_the_table(capexit):
    """A row for each handler in registration order, a column for each ending, in words."""
    program = """
    import atexit, os, signal, sys
    def close(): pass
    def late(): pass
    def leave(): os._exit(7)
    atexit.register(close)
    atexit.register(leave)
    def on_term(signum, frame):
        atexit.unregister(leave)
        atexit.register(late)
        atexit._run_exitfuncs()
        atexit.register(close)
        sys.exit()
    signal.signal(signal.SIGTERM, on_term)
    """
    matrix = capexit.matrix(program, endings=["return", "SIGTERM", "SIGHUP"])
    expected = """
    handler      return      SIGTERM       SIGHUP
    ---------------------------------------------
    close        skipped     ran           skipped
    leave        unfinished  unregistered  skipped
    late         absent      ran           absent
    close        absent      ran           absent
    ---------------------------------------------
    exit status  7           0             SIGHUP
    """
    assert [line.split() for line in str(matrix).splitlines() if line.strip("-")] == [
        line.split() for line in textwrap.dedent(expected).splitlines() if line.strip("- ")
    ]
    matrix.assert_ran("late", on=["SIGTERM"])


def test_a_wide_table_goes_on_below(capexit):
    """All endings and a long name fit into 80 columns behind what pytest puts there, and each block has all rows."""
    program = f"import atexit\ndef {'x' * 90}(): pass\natexit.register({'x' * 90})\natexit.register(len, 1)"
    text = str(capexit.matrix(program, allow_failures=True))
    assert max(map(len, text.splitlines())) <= 80 - len("E   ")
    blocks = text.split("\n\n")
    heads = "".join(block.splitlines()[0].removeprefix("handler") + "  " for block in blocks)
    assert [head.strip() for head in heads.split("  ") if head.strip()] == [str(ending) for ending in Ending]
    assert len(blocks) > 1
    assert all(block.splitlines()[3].startswith("len ") for block in blocks)


def test_assert_ran_wants_exactly_these_endings(capexit):
    """One too few and one too many fail, and the message has the table."""
    matrix = capexit.matrix(PROGRAM, endings=["SIGKILL", "return", "sys.exit"])
    with pytest.raises(AssertionError) as few:
        matrix.assert_ran("close", on=["return"])
    assert str(few.value) == (
        "close ran under sys.exit\n  expected: ['return']\n  actual:   ['return', 'sys.exit']\n\n" + str(matrix)
    )
    with pytest.raises(AssertionError, match=r"^close did not run under SIGKILL, but ran under sys\.exit\n"):
        matrix.assert_ran("close", on=["SIGKILL", "return"])
    with pytest.raises(AssertionError, match=r"^close ran under return and sys\.exit\n"):
        matrix.assert_ran("close", on=[])


def test_a_program_that_ends_before_its_endings_proves_nothing(capexit):
    """What can't be caught didn't happen: it is said below the table, and nothing can be asserted."""
    program = "import atexit, sys\natexit.register(print)\nsys.exit()"
    matrix = capexit.matrix(program, endings=["SIGTERM", "SIGKILL", "os._exit"])
    assert {result.ending for result in matrix.values()} == {Ending.RETURN}
    with pytest.raises(AssertionError, match="the program ended by itself before the endings came") as error:
        matrix.assert_ran("print", on=["SIGTERM", "SIGKILL", "os._exit"])
    assert "SIGKILL (return) and os._exit (return)" in " ".join(str(error.value).split())
    assert str(matrix) in str(error.value)


def test_assert_ran_is_never_vacuous(capexit):
    """A name that was never registered, an ending that is not there, and a run without any handler are errors."""
    matrix = capexit.matrix(PROGRAM, endings=["SIGKILL", "return"])
    with pytest.raises(UnknownHandler, match=r"no handler named 'clsoe' .*Did you mean 'close'"):
        matrix.assert_ran("clsoe", on=[])
    for wrong in ("SIGTERM", "nonsense"):
        with pytest.raises(ValueError, match=f"no ending '{wrong}'; it has 'SIGKILL', 'return'"):
            matrix.assert_ran("close", on=["return", wrong])
    with pytest.raises(TypeError, match=r"such as \['return'\]"):
        matrix.assert_ran("close", on="return")
    program = """
    import atexit, signal, sys
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(atexit.register(len, "") and 0))
    """
    with pytest.raises(AssertionError, match="no handler was registered under return, so there is nothing to check"):
        capexit.matrix(program, endings=["return", "SIGTERM"]).assert_ran("len", on=["SIGTERM"])


@pytest.mark.parametrize(
    ("endings", "message"),
    [
        (["return", "nonsense"], "there is no ending 'nonsense'"),
        (["return", "SIGTERM", "sigterm"], "endings has 'SIGTERM' more than once"),
        ([], "endings is empty"),
        ("SIGTERM", r"endings is a list, such as \['SIGTERM'\]"),
    ],
)
def test_wrong_endings(capexit, tmp_path, endings, message):
    """They are LaunchErrors before anything is started."""
    with pytest.raises(LaunchError, match=message):
        capexit.matrix(f"open({str(tmp_path / 'started')!r}, 'w')", endings=endings)
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_run_so(capexit):
    """A command line, an open file as stdin, and what run refuses."""
    with pytest.raises(LaunchError, match="can't be applied to a command line"):
        capexit.matrix([sys.executable, "-c", ""])
    with pytest.raises(LaunchError, match="pass its content as stdin"):
        capexit.matrix("", stdin=io.StringIO("x"))
    with pytest.raises(LaunchError, match="there is no file"):
        capexit.matrix(Path("nowhere.py"))
    with pytest.raises(ValueError, match="timeout is a number of seconds"):
        capexit.matrix("", timeout=-1)


FAILS = """
import atexit, os
def flush(): raise OSError("disk full")
atexit.register(flush)
"""


def test_failed_handlers_make_one_error(capexit):
    """It names each ending, has the result of the first one and the table of all, which were finished before."""
    with pytest.raises(HandlerFailed) as caught:
        capexit.matrix(FAILS, endings=["SIGKILL", "return", "sys.exit"])
    text = str(caught.value)
    assert text.startswith(
        "2 of 3 endings failed, return like this:\n"
        "a handler raised, which Python itself ignores (exit code 0): flush (OSError: disk full)\n"
        "allow_failures=True accepts that.\n"
    )
    assert "\n\nsys.exit: HandlerFailed: a handler raised, which Python itself ignores (exit code 3): flush (" in text
    assert caught.value.result.ending is Ending.RETURN
    matrix = capexit.matrix(FAILS, endings=["SIGKILL", "return", "sys.exit"], allow_failures=True)
    assert [result.failed for result in matrix.values()] == [[], ["flush"], ["flush"]]
    assert text.endswith(str(matrix))


def test_a_timeout_comes_before_failed_handlers(capexit):
    """A hang under one ending is not hidden by failures under others, and is killed."""
    program = FAILS + textwrap.dedent("""
        import signal, sys, threading
        signal.signal(signal.SIGTERM, lambda *_: threading.Event().wait())
    """)
    with pytest.raises(ProgramTimeout) as caught:
        capexit.matrix(program, endings=["return", "SIGTERM"], timeout=2)
    assert str(caught.value).startswith("2 of 2 endings failed, SIGTERM like this:\nthe program was still running")
    assert "\n\nreturn: HandlerFailed: a handler raised" in str(caught.value)
    assert caught.value.result.returncode == -signal.SIGKILL


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, which it doesn't where the tests run in the background of a shell script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_all_programs(capexit):
    """The interrupt reaches the test when nothing runs any more."""
    program = "import os, socket, sys\nsocket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(1)"
    main = threading.main_thread().ident
    closed = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def interrupt():
            with server.accept()[0] as connection:
                signal.pthread_kill(main, signal.SIGINT)
                closed.append(connection.recv(1))

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                capexit.matrix(program, server.getsockname()[1], endings=["return", "sys.exit", "exception"])
        finally:
            thread.join()
    assert closed == [b""]
    for thread in threading.enumerate():  # an executor may not know one that it was just starting
        if "pytest-atexit" in thread.name:
            thread.join(10)
            assert not thread.is_alive()


def test_the_report_section(inner, sections):
    """A failing test shows the table and how to run them, instead of a timeline for each."""
    result = inner(
        """
        def test_it(capexit):
            program = '''
            import atexit
            atexit.register(len, "x")
            '''
            matrix = capexit.matrix(program, endings=["SIGKILL", "return"])
            assert matrix["return"].ran == []
        """
    )
    result.assert_outcomes(failed=1)
    (section,) = sections(result)
    lines = section.splitlines()
    assert [line.split() for line in lines[:5] if line.strip("-")] == [
        ["handler", "SIGKILL", "return"],
        ["len", "skipped", "ran"],
        ["exit", "status", "SIGKILL", "0"],
    ]
    assert lines[6].startswith("SIGKILL: $ ")
    assert lines[6].endswith("program.py")
    assert lines[7].startswith("and in other folders, return: run-")
    assert "timeline" not in section
