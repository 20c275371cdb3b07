"""An uncaught exception with a custom excepthook that registers, and handlers that look at it."""

import atexit
import sys


def hook(*info):
    print("excepthook", info[0].__name__)
    atexit.register(print, "registered by the excepthook")
    sys.__excepthook__(*info)
    sys.exit(9)


def look():
    print(sys.exc_info(), hasattr(sys, "last_value"), getattr(sys, "last_value", None), sys.is_finalizing())
    print("__file__" in globals())


sys.excepthook = hook
atexit.register(look)


def outer():
    raise LookupError("uncaught")


outer()
