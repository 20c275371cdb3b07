"""A handler that raises leaves the exit code 0, and nobody notices. Here it fails the test."""

import pytest

from pytest_atexit import HandlerFailed


def program():
    import atexit

    def flush():
        raise OSError("disk full")

    def close():
        print("closed")

    atexit.register(close)
    atexit.register(flush)


def test_a_handler_that_raises_fails_the_test(capexit):
    """Without a word from the test: HandlerFailed."""
    with pytest.raises(HandlerFailed, match=r"flush \(OSError: disk full\)"):
        capexit.run(program)


def test_a_failure_can_be_expected(capexit):
    """allow_failures accepts it, and the test says what it expects."""
    result = capexit.run(program, allow_failures=True)
    print(result)
    assert result.returncode == 0
    assert result.failed == ["flush"]
    assert result.ran == ["flush", "close"]
    result.assert_failed("flush", OSError, match="disk full")
    assert result.timeline[0].exception.traceback.endswith("OSError: disk full")
