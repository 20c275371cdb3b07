"""An audit hook hears of no frame and no function that somebody looks at."""

import atexit
import os
import sys


def handler(*args, **kwargs):
    pass


def fails():
    raise ValueError("fails")


def hook(event, arguments):
    os.write(1, f"{event} {len(arguments)}\n".encode())


sys.unraisablehook = lambda unraisable: None
sys.addaudithook(hook)
atexit.register(handler)
atexit.register(handler, 1, a=2)
atexit.unregister(handler)
atexit.register(fails)
