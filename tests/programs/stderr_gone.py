"""Reports of failures where there is no stderr, or one of the program's own."""

import atexit
import io
import sys


class Loud(io.StringIO):
    def write(self, text):
        print("write", repr(text))
        return len(text)

    def flush(self):
        print("flush")


class Raises:
    def write(self, text):
        raise OSError("can't write")


def fails(text):
    raise ValueError(text)


def use(stderr):
    sys.stderr = stderr


def remove():
    del sys.stderr


for action in (use, None), (remove,), (use, Raises()), (use, 1), (use, Loud()), (use, sys.__stderr__):
    atexit.register(fails, "reported or not")
    atexit.register(*action)
atexit.register(fails, "ordinary")
