"""An audit hook hears of nothing that doesn't happen without us: no import, no open file, no code made."""

import atexit
import os
import sys


def handler(*args, **kwargs):
    print("handler", args, kwargs)


def fails():
    raise ValueError("fails")


def hook(event, arguments):
    if event not in ("sys._getframe", "object.__getattr__"):  # see audited_frames.py
        os.write(1, f"{event} {len(arguments)}\n".encode())


sys.addaudithook(hook)
atexit.register(handler)
atexit.register(handler, 1, a=2)
atexit.register(fails)
atexit.register(handler, 3)
atexit.unregister(handler)
atexit.register(handler, 4)
atexit._run_exitfuncs()
atexit.register(fails)
atexit.register(handler)
atexit.register(lambda: os.write(1, b"the end begins\n"))
