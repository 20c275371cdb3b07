"""Exceptions that end more than the work that raised them: of a callback of threading, and SystemExit of finalizers."""

import atexit
import multiprocessing.util
import os
import sys
import threading
import weakref


class Target:
    pass


def say(*words):
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


def leaves(code):
    say("leaves", code, sys.excepthook is sys.__excepthook__)
    sys.exit(code)


target = Target()
weakref.finalize(target, say, "never called")
weakref.finalize(target, leaves, 3)
multiprocessing.util.Finalize(None, say, args=("never called",), exitpriority=1)
multiprocessing.util.Finalize(None, leaves, args=(4,), exitpriority=2)
atexit.register(lambda: say("hooks", sys.excepthook is sys.__excepthook__, type(sys.unraisablehook).__name__))
threading._register_atexit(say, "never called")
threading._register_atexit(leaves, 5)
threading._register_atexit(say, "called")
