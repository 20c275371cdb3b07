"""An `__eq__` that raises ends the program, with Python's own traceback on stderr."""

import atexit


class Raises:
    def __eq__(self, other):
        raise ValueError("eq")

    def __call__(self):
        print("called")


def outer():
    atexit.unregister(print)


atexit.register(print, "before")
atexit.register(Raises())
atexit.register(print, "after")
outer()
