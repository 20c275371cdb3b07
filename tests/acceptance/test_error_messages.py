"""What a newcomer reads when a run itself goes wrong: each message as text."""

import re
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_atexit import (
    HandlerFailed,
    LaunchError,
    NotRecorded,
    ProgramEnded,
    ProgramTimeout,
    WaitTimeout,
)

THREAD_NAME = re.compile(r"(thread 0x…) \[.*?\]")  # faulthandler tells it from Python 3.14 on


@pytest.fixture
def message(steady):
    """A function that returns the message of a call that raises, without what differs from run to run."""

    def of(error, call, *args, **kwargs):
        with pytest.raises(error) as caught:
            call(*args, **kwargs)
        return THREAD_NAME.sub(r"\1", steady(caught.value))

    return of


def check_text(actual, expected):
    """Columns are padded to what they hold, times included: words and lines are compared."""
    expected = textwrap.dedent(expected).strip("\n")
    assert [line.split() for line in actual.splitlines()] == [line.split() for line in expected.splitlines()]


def matches(actual, expected):
    """As `check_text`, but `...` on a line of its own stands for any lines."""
    lines = [re.escape(" ".join(line.split())) for line in textwrap.dedent(expected).strip("\n").splitlines()]
    pattern = "\n".join(lines).replace(r"\.\.\.", ".*")
    words = "\n".join(" ".join(line.split()) for line in actual.splitlines())
    assert re.fullmatch(pattern, words, re.DOTALL), f"{words}\n\n----- does not match -----\n\n{pattern}"


def test_a_handler_that_raises(capexit, message):
    """The exception, where the handler was registered, and how to accept it."""

    def program():
        import atexit

        def flush():
            raise OSError("disk full")

        atexit.register(flush)

    line = program.__code__.co_firstlineno
    expected = f"""
    a handler raised, which Python itself ignores (exit code 0): flush (OSError: disk full)
    allow_failures=True accepts that.

    status: exit code 0 (ended by return)
    exit timeline of process N (main):
      T s  failed  flush()  T ms  registered at {Path(__file__).relative_to(Path.cwd())}:{line + 6}
        flush raised:
        Traceback (most recent call last):
          File "{__file__}", line {line + 4}, in flush
            raise OSError("disk full")
        OSError: disk full
    """
    check_text(message(HandlerFailed, capexit.run, program), expected)


def test_a_handler_of_a_child_that_raises(capexit):
    """A failure is not swallowed because another process had it."""
    program = """
    import atexit, os
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    else:
        atexit.register(lambda: 1 / 0)
    """
    with pytest.raises(HandlerFailed, match=r"<lambda> \(ZeroDivisionError: division by zero\)"):
        capexit.run(program)


def test_a_handler_that_hangs(capexit, message):
    """It is named, with its stack and source lines."""
    program = """
    import atexit, threading

    def wait(lock):
        lock.acquire()

    def close():
        wait(threading.Lock()) or wait(LOCK)

    LOCK = threading.Lock()
    LOCK.acquire()
    atexit.register(close)
    """
    expected = """
    the program was still running after 0.5 s and was killed
    process N (main): the handler close() did not return; it was registered at program.py:12
    it was in wait (program.py:5): lock.acquire()
    main thread 0x…:
    File "RUN/program.py", line 8, in close
    wait(threading.Lock()) or wait(LOCK)
    File "RUN/program.py", line 5, in wait
    lock.acquire()
    For a higher limit: timeout=, or atexit_timeout in pytest's ini file.
    """
    check_text(message(ProgramTimeout, capexit.run, program, timeout=0.5), expected)


def test_a_thread_that_hangs(capexit, message):
    """The program is over, and the interpreter waits for a thread: that is named."""
    program = """
    import threading

    def work():
        threading.Event().wait()

    threading.Thread(target=work).start()
    """
    expected = """
    the program was still running after 0.5 s and was killed
    process N (main): the program is over, but the interpreter waits for thread Thread-1 (work): \
thread 0x… in work (program.py:5): threading.Event().wait()
    thread 0x…:
    ...
    File "RUN/program.py", line 5, in work
    threading.Event().wait()
    ...
    main thread 0x…:
    ... in _shutdown
    ...
    For a higher limit: timeout=, or atexit_timeout in pytest's ini file.
    """
    matches(message(ProgramTimeout, capexit.run, program, timeout=0.5), expected)


def test_a_program_that_goes_on(capexit, message):
    """It has not come to its end: where its main thread was."""
    program = """
    import time

    def work():
        time.sleep(60)

    work()
    """
    expected = """
    the program was still running after 0.5 s and was killed
    process N (main): the program was still running: its main thread was in work (program.py:5): time.sleep(60)
    main thread 0x…:
    File "RUN/program.py", line 7, in <module>
    work()
    File "RUN/program.py", line 5, in work
    time.sleep(60)
    For a higher limit: timeout=, or atexit_timeout in pytest's ini file.
    """
    check_text(message(ProgramTimeout, capexit.run, program, timeout=0.5), expected)


def test_a_child_that_hangs(capexit, message):
    """Each living Python process is shown, and what hangs in it."""
    program = """
    import atexit, os, time

    def linger():
        time.sleep(60)

    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    else:
        atexit.register(linger)
    """
    text = message(ProgramTimeout, capexit.run, program, timeout=0.7)
    expected = """
    the program was still running after 0.7 s and was killed
    process N (main): the program was still running: its main thread was in <module> (program.py:9): os.waitpid(pid, 0)
    process N (fork): the handler linger() did not return; it was registered at program.py:11
    it was in linger (program.py:5): time.sleep(60)
    stacks of process N (main):
    main thread 0x…:
    File "RUN/program.py", line 9, in <module>
    os.waitpid(pid, 0)
    stacks of process N (fork):
    main thread 0x…:
    File "RUN/program.py", line 5, in linger
    time.sleep(60)
    For a higher limit: timeout=, or atexit_timeout in pytest's ini file.
    """
    check_text(text, expected)


def test_the_stacks_are_not_in_stderr(capexit):
    """They are taken out of what the program wrote."""
    with pytest.raises(ProgramTimeout) as caught:
        capexit.run("import sys, time; sys.stderr.write('mine\\n'); time.sleep(60)", timeout=0.5)
    assert caught.value.result.stderr == "mine\n"
    assert caught.value.result.reason.startswith("it was killed, for it was still running after 0.5 s")


def test_stderr_that_goes_elsewhere_is_left_alone(capexit, tmp_path):
    """Nothing is written into a file of the program's: then there are no stacks, and the message says why."""
    file = tmp_path / "log"
    program = f"import os, time; os.dup2(os.open({str(file)!r}, os.O_CREAT | os.O_WRONLY), 2); time.sleep(60)"
    with pytest.raises(ProgramTimeout, match="no stacks: its stderr is not the pipe that pytest-atexit reads"):
        capexit.run(program, timeout=0.5)
    assert file.read_bytes() == b""


def test_no_agent(capexit, message):
    """A program that can't be recorded is an error, never an empty result."""
    text = message(NotRecorded, capexit.run, "print('hello')", python_args=["-S"])
    lines = text.splitlines()
    assert lines[0] == ("the program ran (exit code 0), but was not recorded, so nothing is known of its handlers")
    assert lines[1].endswith(f"{sys.executable} -S RUN/program.py")
    assert lines[2:] == [
        "The recorder is loaded into a Python through PYTHONPATH: -S, -I, -E and a cleaned environment keep it",
        "out, and what is no Python program can't load it.",
        "stdout:",
        "  hello",
    ]


@pytest.mark.parametrize(
    "command", [["echo", "hi"], [sys.executable, "-I", "-c", "1"], ["env", "-i", sys.executable, "-c", ""]]
)
@pytest.mark.parametrize("way", ["run", "wait", "stop"])
def test_commands_without_an_agent(capexit, command, way):
    """`run`, `wait` and `stop` say so."""
    with pytest.raises(NotRecorded):
        if way == "run":
            capexit.run(command)
        else:
            getattr(capexit.start(command), way)()


def test_a_wait_for_a_program_that_ends(capexit, message):
    """It fails at once, with the output."""
    program = "import sys; print('starting'); sys.exit('no config')"
    expected = """
    the program ended (exit code 1) while the test waited for output that matches 'ready'
    stdout:
      starting
    stderr:
      no config
    """
    check_text(message(ProgramEnded, capexit.start(program).wait_for_output, "ready", timeout=60), expected)


@pytest.mark.parametrize(
    ("wait", "args", "what"),
    [
        ("wait_for_output", ["ready"], "output that matches 'ready'"),
        ("wait_for_port", [9], "port 9 of 127.0.0.1"),
        ("wait_for_url", ["http://127.0.0.1:9/"], "status 200 of http://127.0.0.1:9/"),
        ("wait_for_handlers", ["close", "flush"], "the registration of close and flush"),
        ("wait_for_signal_handler", [15], "a signal handler for SIGTERM"),
        ("wait_for", [lambda: False], "<lambda>() (test_error_messages.py:LINE) to be true"),
    ],
)
def test_a_wait_in_vain(capexit, message, wait, args, what):
    """It says for what it waited, and what the program wrote."""
    with capexit.start("import time; print('starting', flush=True); time.sleep(60)") as program:
        program.wait_for_output("starting")
        text = message(WaitTimeout, getattr(program, wait), *args, timeout=0.1)
    expected = f"the test waited 0.1 s for {what}, in vain\nstdout:\n  starting"
    check_text(re.sub(r"(?<=messages.py:)\d+", "LINE", text), expected)


@pytest.mark.parametrize(
    ("program", "options", "text"),
    [
        (Path("/no/such/file.py"), {}, "there is no file /no/such/file.py"),
        ("app.py", {}, "a str is source text; to run the file, pass pathlib.Path('app.py')"),
        ("pass", {"python": "/no/python"}, "there is no interpreter '/no/python' that can be executed"),
        ("pass", {"cwd": "/no/folder"}, "there is no folder /no/folder (cwd)"),
        (["no-such-command"], {}, "there is no command 'no-such-command' that can be executed"),
        (["./no-such-command"], {}, "there is no command './no-such-command' that can be executed"),
        ([], {}, "the command line is empty"),
        (
            ["echo"],
            {"ending": "SIGTERM"},
            "ending='SIGTERM' can't be applied to a command line: give the program as a path, text or function",
        ),
        (["echo"], {"python_args": ["-O"]}, "python_args can't be applied to a command line: write them into it"),
        (5, {}, "a program is source text, a function, a path or a list, not int"),
        ("pass", {"launcher": "rocket"}, "there is no launcher 'rocket'; the launchers are 'auto', 'spawn', 'fork'"),
    ],
)
def test_nothing_is_started(capexit, message, program, options, text):
    """Bad input gets a clear error."""
    assert message(LaunchError, capexit.run, program, **options) == text


def test_an_unknown_ending(capexit, message):
    """Those there are are listed."""
    text = message(LaunchError, capexit.run, "pass", ending="SIGWHAT")
    assert text.startswith("there is no ending 'SIGWHAT'; the endings are 'return', 'sys.exit', 'exception', 'SIGINT'")


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ({"a": 1}, "a command-line argument is text, a number or a path, not dict: {'a': 1}"),
        ("a\0b", "a command-line argument can't hold a NUL character: 'a\\x00b'"),
    ],
)
def test_an_argument_that_is_none(capexit, message, argument, text):
    """What can't be on a command line is refused before anything starts."""
    assert message(LaunchError, capexit.run, "pass", argument) == text


def test_a_file_that_can_not_be_executed(capexit, message, tmp_path):
    """What the system says is part of the message."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    text = message(LaunchError, capexit.run, [script])
    assert text.startswith(f"{script} could not be started: ")


def test_a_function_that_can_not_travel(capexit):
    """The variable is named."""
    lock = open(__file__)  # noqa: SIM115
    with lock, pytest.raises(LaunchError, match="'lock'"):
        capexit.run(lambda_free(lock))


def lambda_free(lock):
    def program():
        lock.read()

    return program


def test_a_timeout_before_the_ending(capexit):
    """A program that never comes to its last statement is told of capexit.start."""
    with pytest.raises(ProgramTimeout) as caught:
        capexit.run("import time\ntime.sleep(60)", ending="SIGTERM", timeout=0.3)
    assert str(caught.value).endswith(
        "(ending='SIGTERM' comes behind the program's last statement, to which it never came. A program that runs "
        "until it is stopped: capexit.start, and then stop.)"
    )
