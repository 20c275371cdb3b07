"""A custom sys.unraisablehook gets the original exception, traceback, object and text."""

import atexit
import sys
import traceback


def hook(unraisable):
    print("hook:", type(unraisable).__name__, len(unraisable), unraisable.exc_type, repr(unraisable.exc_value))
    print(unraisable.err_msg, "|", unraisable.object, "|", unraisable.object is fails, type(unraisable.object))
    traceback.print_tb(unraisable.exc_traceback, file=sys.stdout)
    print(unraisable.exc_value.__traceback__ is unraisable.exc_traceback, sys.unraisablehook is hook)
    print(sys._getframe().f_code.co_name, sys.exc_info())


def fails(*args, **kwargs):
    print("the hook that is seen:", sys.unraisablehook)
    raise ValueError(args)


class Fails:
    def __call__(self):
        raise ValueError("object")

    def __repr__(self):
        return "<Fails>"


atexit.register(fails)
atexit.register(fails, 1, b=2)
atexit.register(Fails())
atexit.register(lambda: print("between:", sys.unraisablehook))
atexit.register(Fails())
atexit.register(int, "x")
sys.unraisablehook = hook
print(sys.unraisablehook is hook, sys.__unraisablehook__)
