"""Commands that programs under test call, and for which pytest-subprocess answers in the test's process (`fp=`)."""

from pytest_atexit._commands._answer import check_active
from pytest_atexit._commands._server import Answers
from pytest_atexit._commands._stubs import Stubs
from pytest_atexit._commands._told import commands_of, raise_refused

__all__ = ["Answers", "Stubs", "check_active", "commands_of", "raise_refused"]
