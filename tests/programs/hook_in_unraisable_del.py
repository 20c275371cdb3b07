"""Exceptions that are ignored elsewhere than in handlers go to the program's hook unchanged."""

import atexit
import gc
import sys


class Dies:
    def __del__(self):
        raise ValueError("in __del__")


class Fails:
    def __call__(self):
        self.dies = Dies()
        raise RuntimeError("handler")


def keeps(dies):
    local = Dies()
    raise KeyError("its local dies with it")


Dies()
atexit.register(Dies)
atexit.register(keeps, Dies())
atexit.register(Fails())
atexit.register(gc.collect)
gc.disable()  # The moments at which it runs by itself are not those of a plain run: it counts allocations.
cycle = Dies()
cycle.self = cycle
del cycle
kept = []


def hook(unraisable):
    kept.append(unraisable)
    print("hook", unraisable.exc_value, type(unraisable.object).__name__)


atexit.register(setattr, sys, "unraisablehook", hook)
atexit.register(keeps, 1)
