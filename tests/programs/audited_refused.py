"""An audit hook that refuses all it can changes nothing."""

import atexit
import os
import sys

write = os.write


def handler(*args, **kwargs):
    write(1, b"handler\n")


def fails():
    raise ValueError("fails")


def hook(event, arguments):
    if event not in ("sys.unraisablehook", "cpython.run_file", "cpython._PySys_ClearAuditHooks", "compile", "open"):
        raise RuntimeError(event)


atexit.register(handler)
sys.addaudithook(hook)
for each in handler, fails, print, handler.__call__, hook:
    atexit.register(each)
    atexit.register(each, 1, a=2)
atexit.unregister(print)
atexit.register(lambda: None)
