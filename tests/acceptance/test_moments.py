"""Moments: a handler is held at its start, and the test acts while it is."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_atexit import ProgramEnded, ProgramTimeout, PytestAtexitError, WaitTimeout

TWO_HANDLERS = """
import atexit, os, pathlib, signal, sys, time

@atexit.register
def last():
    print("last", flush=True)

@atexit.register
def first():
    pathlib.Path(sys.argv[0] + ".pid").unlink()
    print("first", flush=True)

pathlib.Path(sys.argv[0] + ".pid").write_text(str(os.getpid()))
if "default" not in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
if "flag" in sys.argv:
    signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"noted\\n"))
print("ready", flush=True)
while True:  # and no long sleep: a signal that comes just before that waits for its end
    time.sleep(0.01)
"""


NOTHING_HAD_SET_IT_OFF = (
    "the program still ran, and had called no handler: arm the moment, set the end off, then enter it: "
    "moment = program.during('first'); program.terminate(); with moment: ..."
)


@pytest.fixture
def started(capexit):
    """A function that starts the program with two handlers and returns it when it is ready."""

    def start(*options):
        program = capexit.start(TWO_HANDLERS, *options)
        program.wait_for_output("ready\n")
        return program

    return start


def test_a_handler_is_held_until_the_block_is_left(started):
    """It has begun, and no line of it has run; then it goes on as if nothing had been."""
    program = started()
    moment = program.during("first")
    pid_file = Path(program.command.split()[-1] + ".pid")
    program.terminate()
    with moment as entered:
        assert entered is moment
        assert moment.pid == program.pid
        assert program.ran == ["first"]
        assert program.handlers[1].state == "unfinished"
        assert pid_file.exists()
        assert program.stdout == "ready\n"
    result = program.wait()
    assert result.ran == ["first", "last"]
    assert result.unfinished == result.failed == []
    assert not pid_file.exists()
    assert (result.stdout, result.stderr) == ("ready\nfirst\nlast\n", "")
    assert str(result.status) == "exit code 3"


def test_a_second_sigterm_ends_the_handler_alone(started):
    """What its signal handler raises comes out of the handler; the others run."""
    program = started()
    moment = program.during("first")
    program.terminate()
    with moment:
        program.terminate()
        program.wait_for_output("SystemExit: 3")
    result = program.wait(allow_failures=True)
    result.assert_failed("first", "SystemExit", match="3")
    assert result.ran == ["first", "last"]
    assert result.stdout == "ready\nlast\n"
    frames = [line for line in result.timeline[0].exception.traceback.splitlines() if line.startswith("  File")]
    assert frames == [f'  File "{result.argv[-1]}", line 15, in <lambda>']  # none of the agent's


INTERRUPTED = """
import atexit, functools, signal, sys, time

class Interrupted(functools.partial):
    def __repr__(self):
        return "<interrupted>"

atexit.register(print, "last")
spent = (item for item in ())
list(spent)  # a generator that is over raises what is thrown at it without a frame of its own
atexit.register(Interrupted(spent.throw, KeyboardInterrupt))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


def test_a_second_ctrl_c_is_reported_as_ever(capexit):
    """Output and status are those of a plain run in which the handler itself does nothing but to be interrupted."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as plain:
        line = plain.stdout.readline()
        plain.terminate()
        rest, errors = plain.communicate()
    program = capexit.start([sys.executable, "-c", INTERRUPTED])
    program.wait_for_output("ready\n")
    moment = program.during("Interrupted")
    program.terminate()
    with moment:
        program.interrupt()
        program.wait_for_output("KeyboardInterrupt")
    result = program.wait(allow_failures=True)
    assert result.failed == ["Interrupted"]
    assert (result.stdout, result.stderr, result.returncode) == (line + rest, errors, plain.returncode)


def test_a_signal_handler_that_raises_nothing(started):
    """It runs at once, however long the block is, and the handler stays held."""
    program = started("flag")
    moment = program.during("first")
    program.terminate()
    with moment:
        for count in range(1, 20):
            program.send_signal(signal.SIGUSR1)
            program.wait_for(lambda: program.stdout.count("noted") == count)  # noqa: B023, it is asked at once
        assert program.handlers[1].state == "unfinished"
        assert "first" not in program.stdout
    assert program.wait().ran == ["first", "last"]


def test_a_signal_with_its_default_action_kills(started):
    """The handler was called and never returned; the others are skipped."""
    program = started("default")
    moment = program.during("first")
    program.interrupt()
    with moment:
        program.terminate()
        result = program.wait(allow_failures=True)
    assert result.status.signal == signal.SIGTERM
    assert result.unfinished == ["first"]
    assert result.skipped == ["last"]
    assert result.reason == (
        "SIGTERM came while the handler first was running and had its default action: no signal handler was installed"
    )


def test_killed_within(started):
    """`stop` and `kill` end what is held."""
    program = started()
    moment = program.during("last")
    program.terminate()
    with moment:
        program.kill()
        assert program.wait().unfinished == ["last"]
        assert Path(program.command.split()[-1]).exists()
    assert moment.pid == program.pid


def test_several_moments_in_one_another(started):
    """One for each handler, entered in the order in which they begin; the inner block may be left later."""
    program = started()
    first, last = program.during("first"), program.during("last")
    program.terminate()
    with first:
        assert program.ran == ["first"]
    with last:
        assert program.ran == ["first", "last"]
        program.wait_for_output("first\n")
        assert (repr(first), repr(last)) == ("<Moment 'first' over>", "<Moment 'last' held>")
    assert program.wait().ran == ["first", "last"]


MANY = """
import atexit, functools, os, signal, sys, threading, time

def close(number):
    print("close", number, flush=True)

for number in range(20):  # more than a few, which are called in another way
    atexit.register(close, number)
atexit.register(lambda: print("lambda", flush=True))
atexit.register(functools.partial(close, 20))
atexit.register(close, number=21)
threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


def test_calls_of_one_name_one_after_the_other(capexit):
    """Each moment holds a further call; names are those of `registered`, whatever is called."""
    program = capexit.start(MANY)
    program.wait_for_output("ready\n")
    first, partial, function, second = map(program.during, ["close", "partial(close)", "<lambda>", "close"])
    program.terminate()
    with first:
        assert program.ran == ["close"]
    with partial:
        assert program.ran == ["close", "partial(close)"]
    with function:
        assert program.ran == ["close", "partial(close)", "<lambda>"]
    with second:
        assert program.ran == ["close", "partial(close)", "<lambda>", "close"]
        third = program.during("close")
    with third:
        assert program.ran == ["close", "partial(close)", "<lambda>", "close", "close"]
        assert "close 18" not in program.stdout
    assert program.wait().ran == ["close", "partial(close)", "<lambda>", *["close"] * 20]


KINDS = """
import atexit, os, signal, sys, threading, time, weakref

class Resource:
    pass

resource = Resource()
def callback(): os.write(1, b"callback ")
def finalizer(): os.write(1, b"finalizer ")
def handler(): os.write(1, b"handler ")
weakref.finalize(resource, finalizer)
threading._register_atexit(callback)
atexit.register(handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.write(1, b"ready ")
while True:
    time.sleep(0.01)
"""


def test_other_work_at_exit_is_held_likewise(capexit):
    """Callbacks of threading, and finalizers, by their names on the timeline."""
    program = capexit.start(KINDS)
    program.wait_for_output("ready ")
    callback, handler, finalizer = map(program.during, ["callback", "handler", "finalizer"])
    program.terminate()
    with callback:
        assert program.stdout == "ready "
    with handler:
        program.wait_for_output("ready callback ")
        assert "handler" not in program.stdout
    with finalizer:
        program.wait_for_output("ready callback handler ")
        assert "finalizer" not in program.stdout
    program.wait().assert_order("callback", "handler", "finalizer")


FORKING = """
import atexit, os, signal, subprocess, sys

@atexit.register
def close():
    os.write(1, b"closed\\n")

program = "import atexit; below = lambda: print('below'); below.__qualname__ = 'below'; atexit.register(below)"
print("ready", flush=True)
sys.stdin.readline()
if not (pid := os.fork()):
    sys.exit(0)
os.waitpid(pid, 0)
subprocess.run([sys.executable, "-c", program])
"""


def test_whichever_process_begins_first(capexit):
    """A handler of a child is held, be it forked or started, and `pid` says in which process; the next one is free."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w") as end:
        program = capexit.start(FORKING, stdin=stdin)
        program.wait_for_handlers("close")
        forked, below, main = map(program.during, ["close", "below", "close"])
        end.write("go on\n")
    with forked:
        assert forked.pid not in (None, program.pid)
        assert program.stdout == "ready\n"
    with below:
        assert below.pid not in (None, program.pid, forked.pid)
        os.kill(below.pid, signal.SIGKILL)
    with main:
        assert main.pid == program.pid
    result = program.wait()
    assert result.stdout == "ready\nclosed\nclosed\n"
    assert [(child.role, child.ran, child.unfinished) for child in result.children] == [
        ("fork", ["close"], []),
        ("subprocess", ["below"], ["below"]),
    ]


@pytest.mark.atexit(linger=0.05)
def test_a_handler_of_a_daemon(capexit):
    """It can be held as long as the daemon lives, though the program has ended."""
    program = capexit.start(
        """
import os
reader, writer = os.pipe()
if os.fork():
    os.read(reader, 1)
    os._exit(0)
os.setsid()
"""
        + TWO_HANDLERS.replace('print("ready", flush=True)', "os.write(writer, b'.')")
    )
    (daemon,) = program.wait().left_running
    moment, never = program.during("first"), program.during("frist")
    os.kill(daemon, signal.SIGTERM)
    with moment:
        assert moment.pid == daemon
    with pytest.raises(ProgramEnded, match="while the test waited for the handler 'frist' to begin"), never:
        pass
    (child,) = program.wait().children
    assert child.ran == ["first", "last"]


def test_a_handler_that_is_registered_later(capexit):
    """A moment may be armed before its handler is there."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w") as end:
        program = capexit.start("import atexit, os; input(); atexit.register(os.write, 1, b'written')", stdin=stdin)
        moment = program.during("write")
        end.write("go on\n")
    with moment:
        assert program.stdout == ""
    assert program.wait().stdout == "written"


def test_left_by_an_exception(started):
    """The program goes on, and the exception is the test's."""
    program = started()
    moment = program.during("first")
    program.terminate()
    with pytest.raises(ZeroDivisionError), moment:
        1 / 0  # noqa: B018, it is to raise
    assert program.wait().ran == ["first", "last"]


def test_stop_in_another_thread(started):
    """What waits for the end may be another thread; the time within the block counts for the grace."""
    program = started()
    moment = program.during("first")
    stopping = threading.Thread(target=program.stop, kwargs={"grace": 30})
    stopping.start()
    with moment:
        assert stopping.is_alive()
    stopping.join()
    assert program.wait().ran == ["first", "last"]


def message_of(error):
    """The first lines of an error, without output."""
    return str(error.value).partition("\nstdout:")[0]


def test_begun_before_it_was_armed(started):
    """Nothing can be held then, and the error says so."""
    program = started()
    moment = program.during("first")
    program.terminate()
    with moment:
        with pytest.raises(PytestAtexitError) as error:
            program.during("first")
        assert "'first' had already begun when the moment was armed" in message_of(error)
        last = program.during("last")
    with last, pytest.raises(PytestAtexitError, match="this moment of 'first' is over: arm another one"), moment:
        pass
    program.wait()
    with pytest.raises(ProgramEnded, match=r"had ended \(exit code 3\) when the moment was armed"):
        program.during("last")


def test_never_begun(started):
    """The program ends first, or the time is over: the error lists the handlers that there were."""
    program = started()
    with pytest.raises(WaitTimeout) as error, program.during("first", timeout=0.05):
        pass
    assert re.sub(r"\S*program.py:\d", "program.py:N", str(error.value)).splitlines()[:4] == [
        "the test waited 0.05 s for the handler 'first' to begin, in vain",
        NOTHING_HAD_SET_IT_OFF,
        "handlers there were:",
        "  last  registered, registered at program.py:N",
    ]
    moment = program.during("frist")
    program.terminate()
    with pytest.raises(ProgramEnded) as error, moment:
        pass
    assert re.sub(r"\S*program.py:\d", "program.py:N", str(error.value)).splitlines()[:4] == [
        "the program ended (exit code 3) while the test waited for the handler 'frist' to begin",
        "no handler 'frist' was registered. Did you mean 'first'?",
        "handlers there were:",
        "  last  ran, registered at program.py:N",
    ]
    assert program.wait().ran == ["first", "last"]  # a moment that has failed holds nothing


def test_a_timeout_while_it_is_held(started):
    """The error says that it was the test that kept the program from ending."""
    program = started()
    moment = program.during("last")
    program.terminate()
    with moment, pytest.raises(ProgramTimeout) as error:
        program.wait(timeout=0.1)
    assert f"process {program.pid} could not go on: the test held it at the start of the handler 'last'" in str(
        error.value
    )
    assert error.value.result.unfinished == ["last"]


def test_a_moment_that_nobody_enters(started):
    """Waiting for the end then is an error at once, and the program goes on."""
    program = started()
    program.during("last")
    program.terminate()
    with pytest.raises(PytestAtexitError) as error:
        program.wait()
    assert str(error.value) == (
        f"process {program.pid} is held at the start of the handler 'last', but the test waits for its end and has not "
        "entered the moment: with program.during('last'): ..."
    )
    assert program.wait().ran == ["first", "last"]
    other = started()
    other.during("first")
    with pytest.raises(PytestAtexitError, match="has not entered the moment"):
        other.stop()


def test_leaving_the_program_while_it_is_held(started):
    """Its context ends it, as ever."""
    with started() as program:
        program.during("first")
        program.terminate()
        program.wait_for(lambda: program.ran)
    assert program.wait().unfinished == ["first"]


def test_wrong_names(started):
    """A name is text that fits."""
    program = started()
    with pytest.raises(TypeError, match="the name of a handler is text, not <function"):
        program.during(lambda: None)
    with pytest.raises(ValueError, match="no handler has so long a name"):
        program.during("x" * 2000)
