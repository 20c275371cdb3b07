"""`sys.modules` is emptied: handlers still run, and the module can be imported again."""

import atexit
import sys


def handler():
    print("handler")


def fails():
    raise ValueError("fails")


atexit.register(handler)
atexit.register(fails)
kept = dict(sys.modules)
sys.modules.clear()
atexit.register(handler)
atexit.unregister(print)
sys.modules.update(builtins=kept["builtins"], sys=kept["sys"])
import atexit as again

again.register(fails)
atexit.register(handler)
sys.modules.clear()
