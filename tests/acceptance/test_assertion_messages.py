"""What a newcomer reads when an assertion fails: each message as text."""

import signal
import textwrap

import pytest

from pytest_atexit import UnknownHandler

PROGRAM = """
import atexit

def close(): print("closed")
def flush(*args, **kwargs): print("flushed")
def gone(): pass

atexit.register(close)
atexit.register(flush, "all", retries=2)
atexit.register(flush)
atexit.register(gone)
atexit.unregister(gone)
"""
STORY = """
status: exit code 0 (ended by return)
exit timeline of process N (main):
  T s  ran           flush()                  T ms  registered at program.py:10
  T s  ran           flush('all', retries=2)  T ms  registered at program.py:9
  T s  ran           close()                  T ms  registered at program.py:8
       unregistered  gone()                          registered at program.py:11"""


@pytest.fixture(scope="module")
def result(module_capexit):
    """A program that ran flush, flush, close, and has unregistered gone."""
    return module_capexit.run(PROGRAM)


@pytest.fixture
def message(steady):
    """A function that returns the message of an assertion that fails, without what differs from run to run."""

    def of(check, *args, raises=AssertionError, **kwargs):
        with pytest.raises(raises) as caught:
            check(*args, **kwargs)
        return steady(caught.value)

    return of


def without_padding(text):
    return [line.split() for line in text.splitlines()]


def check_text(actual, expected):
    """Columns are padded to what they hold, times included: words and lines are compared."""
    assert without_padding(actual) == without_padding(textwrap.dedent(expected).strip("\n"))


def test_order(result, message):
    """Expected against actual, then the whole story."""
    expected = """
    the handlers did not run in this order
      expected: ['close', 'flush']
      actual:   ['flush', 'flush', 'close']
    """
    check_text(message(result.assert_order, "close", "flush"), expected + STORY)


def test_ran(result, message):
    """A handler that was registered and did not run."""
    expected = """
    gone did not run
      expected: ['gone: at least 1', 'close: at least 1']
      actual:   ['gone: 0', 'close: 1']
    """
    check_text(message(result.assert_ran, "gone", "close"), expected + STORY)


def test_ran_times(result, message):
    """A handler that did not run that often."""
    expected = """
    close did not run twice
      expected: ['close: 2', 'flush: 2']
      actual:   ['close: 1', 'flush: 2']
    """
    check_text(message(result.assert_ran, "close", "flush", times=2), expected + STORY)


def test_ran_once(result, message):
    """A handler that ran twice."""
    expected = """
    flush did not run exactly once
      expected: ['flush: 1']
      actual:   ['flush: 2']
    """
    check_text(message(result.assert_ran_once, "flush"), expected + STORY)


def test_ran_once_in_the_tree(capexit, message):
    """A handler that ran once in each process: both timelines are shown."""
    result = capexit.run(
        """
        import atexit, os
        atexit.register(print)
        if pid := os.fork(): os.waitpid(pid, 0)
        """
    )
    expected = """
    print did not run exactly once in all processes together
      expected: ['print: 1']
      actual:   ['print: 2']

    status: exit code 0 (ended by return)
    exit timeline of process N (main):
      T s  ran  print()  T ms  registered at program.py:3

    exit timeline of process N (fork):
      T s  ran  print()  T ms  registered at program.py:3, inherited
    """
    check_text(message(result.assert_ran_once, "print", tree=True), expected)


def test_not_ran(result, message):
    """A handler that did run."""
    expected = """
    close ran
      expected: ['close: 0']
      actual:   ['close: 1']
    """
    check_text(message(result.assert_not_ran, "close"), expected + STORY)


@pytest.mark.parametrize("by", ["SIGTERM", signal.SIGTERM, 15])
def test_not_ran_by_another_ending(result, message, by):
    """It did not run, but the program did not end that way: such a test would prove nothing."""
    expected = """
    the program did not end by SIGTERM
      expected: ['SIGTERM']
      actual:   ['return (exit code 0)']
    """
    check_text(message(result.assert_not_ran, "gone", by=by), expected + STORY)


def test_not_ran_by_a_signal_that_is_no_ending(capexit, message):
    """Any signal can be named, also one that `ending=` doesn't know."""
    result = capexit.run("import atexit, os, signal\natexit.register(print)\nos.kill(os.getpid(), signal.SIGALRM)")
    result.assert_not_ran("print", by=signal.SIGALRM)
    expected = """
    the program did not end by SIGUSR2
      expected: ['SIGUSR2']
      actual:   ['SIGALRM (killed by SIGALRM)']

    status: killed by SIGALRM
    reason: SIGALRM had its default action: no signal handler was installed
    exit timeline of process N (main):
      skipped  print()  registered at program.py:2
    """
    check_text(message(result.assert_not_ran, "print", by="SIGUSR2"), expected)


def test_no_duplicates(result, message):
    """What ran more than once, and how often."""
    expected = """
    flush ran more than once
      expected: ['flush: 1']
      actual:   ['flush: 2']
    """
    check_text(message(result.assert_no_duplicates), expected + STORY)


def test_unregistered(result, message):
    """A handler that was not taken out."""
    expected = """
    close was not unregistered
      expected: ['gone', 'close']
      actual:   ['gone']
    """
    check_text(message(result.assert_unregistered, "gone", "close"), expected + STORY)


def test_failed(result, message):
    """A handler that did not raise."""
    expected = """
    close did not raise
      expected: ["OSError matching 'full'"]
      actual:   []
    """
    check_text(message(result.assert_failed, "close", OSError, match="full"), expected + STORY)


def test_failed_otherwise(capexit, message):
    """A handler that raised something else: its traceback is part of the story."""
    result = capexit.run("import atexit\n@atexit.register\ndef close(): 1 / 0\n", allow_failures=True)
    expected = """
    close raised something else
      expected: ['OSError']
      actual:   ['ZeroDivisionError: division by zero']

    status: exit code 0 (ended by return)
    exit timeline of process N (main):
      T s  failed  close()  T ms  registered at program.py:%d
        close raised:
        Traceback (most recent call last):
          File "RUN/program.py", line 3, in close
            def close(): 1 / 0
        ZeroDivisionError: division by zero
    """
    line = int(result.handlers[0].where.rpartition(":")[2])  # 2 or 3: versions differ in the line of a decorator
    assert line in (2, 3)
    check_text(message(result.assert_failed, "close", OSError), expected % line)
    result.assert_failed("close", ArithmeticError, match="^division")
    result.assert_failed("close", "ZeroDivisionError")
    assert "raised something else" in message(result.assert_failed, "close", match="disk")


def test_within(result, message, steady):
    """An exit that took too long."""
    expected = """
    the exit took too long
      expected: ['at most 0 s']
      actual:   ['T s']
    """
    check_text(message(result.assert_within, 0), expected + STORY)
    result.assert_within(60)


def test_an_unknown_name(result, message):
    """A name that was never registered is an error of its own, which lists those there are."""
    expected = """
    no handler named 'colse' was ever registered. Did you mean 'close'?
    Registered were:
      close()  registered at program.py:8
      flush('all', retries=2)  registered at program.py:9
      flush()  registered at program.py:10
      gone()  registered at program.py:11
    """
    check_text(message(result.assert_ran, "colse", raises=UnknownHandler), expected)
    assert issubclass(UnknownHandler, LookupError)


@pytest.mark.parametrize(
    "check",
    ["assert_order", "assert_ran", "assert_ran_once", "assert_not_ran", "assert_unregistered", "assert_failed"],
)
def test_every_assertion_refuses_an_unknown_name(result, check):
    """None of them passes because a name is misspelt."""
    with pytest.raises(UnknownHandler, match="no handler named 'colse' was ever registered"):
        getattr(result, check)("colse")


@pytest.mark.parametrize("check", ["assert_order", "assert_ran", "assert_ran_once", "assert_not_ran"])
def test_an_assertion_needs_names(result, check):
    """Without names there is nothing to check."""
    with pytest.raises(ValueError, match="name the handlers to check"):
        getattr(result, check)()


def test_nothing_passes_where_no_handler_was_registered(capexit, message):
    """A program without handlers proves nothing."""
    result = capexit.run("pass", ending="SIGKILL")
    expected = """
    no handler was registered in this process, so there is nothing to check
      expected: ['a handler']
      actual:   []

    status: killed by SIGKILL
    exit timeline of process N (main): no handler was registered
    """
    check_text(message(result.assert_no_duplicates), expected)
    check_text(message(result.assert_within, 5), expected)
    expected = """
    no handler named 'close' was ever registered.
    No handler was registered in this process.
    """
    check_text(message(result.assert_not_ran, "close", by="SIGKILL", raises=UnknownHandler), expected)


def test_the_frame_of_an_assertion_is_hidden(pytester):
    """A traceback shows the test's own line and not our code."""
    pytester.makepyfile(
        """
        def test_it(capexit):
            result = capexit.run("import atexit; atexit.register(print)")
            result.assert_ran("print", times=2)
        """
    )
    run = pytester.runpytest_subprocess()
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(
        ['>       result.assert_ran("print", times=2)', "E       AssertionError: print did not run twice"]
    )
    run.stdout.no_fnmatch_line("*_assertions.py*")


def test_a_name_that_only_a_child_registered(capexit, message):
    """The child is named."""
    program = """
    import atexit, os
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        def close(): pass
        atexit.register(close)
    """
    text = message(capexit.run(program).assert_ran, "close", raises=UnknownHandler)
    assert text == (
        "no handler named 'close' was ever registered in this process. In process N (fork) one was: "
        "see result.children.\nNo handler was registered in this process."
    )
