"""What a program's events say of its life."""

from pytest_atexit._events import Forked, ProcessBegan
from pytest_atexit._lines import Program
from pytest_atexit._replay import replay


def test_a_child_that_had_nowhere_to_write_is_a_loss():
    """A forked child that could not be recorded is never taken for one that was not there."""
    began = ProcessBegan(1, "start", 10, 1)
    (life,) = replay(Program([began, Forked(2, 0, "__main__")]))
    assert life.lost
    (life,) = replay(Program([began]))
    assert not life.lost
