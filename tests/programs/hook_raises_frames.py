"""A custom sys.unraisablehook that raises is reported with its own frames only."""

import atexit
import sys


def inner():
    raise KeyError("in the hook")


def hook(unraisable):
    inner()


def fails():
    raise ValueError("fails")


class Hook:
    def __call__(self, unraisable):
        raise SystemExit(3)

    def __repr__(self):
        return "<Hook>"


sys.unraisablehook = hook
atexit.register(fails)
atexit.register(setattr, sys, "unraisablehook", hook)
atexit.register(fails)
atexit.register(setattr, sys, "unraisablehook", len)
atexit.register(fails)
atexit.register(setattr, sys, "unraisablehook", lambda: None)
atexit.register(fails)
atexit.register(setattr, sys, "unraisablehook", Hook())
