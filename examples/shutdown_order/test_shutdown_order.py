"""A database must outlive its users. Handlers run in reverse order, so it has to be registered before them."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")


def test_the_scheduler_stops_before_the_database_closes(capexit):
    """What was registered last runs first."""
    result = capexit.run(PROGRAM)
    result.assert_order("Scheduler.stop", "Database.close")
    assert result.stdout == "saved: the last result\n"


def test_a_database_that_closes_first_is_found(capexit):
    """All handlers ran, the exit code is 0 and nothing was printed: the order alone tells that a result was lost."""
    result = capexit.run(PROGRAM, "wrong")
    print(result)
    assert result.ran == ["Database.close", "Scheduler.stop"]
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    with pytest.raises(AssertionError, match="did not run in this order"):
        result.assert_order("Scheduler.stop", "Database.close")
