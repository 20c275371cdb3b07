"""A signal that arrives while a C function is the handler is handled in the next Python code: in the next handler."""

import atexit
import ctypes
import os
import signal
import sys

c_raise = ctypes.CDLL(None)["raise"]  # unlike os.kill it returns without a look at what has arrived


def stop(signum, frame):
    print("signal handler in", frame.f_code.co_name if frame else None)
    sys.exit(42)


def following(text):
    print("begins", text)
    print("ends", text)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, lambda signum, frame: print("noted in", frame.f_code.co_name if frame else None))
for number in signal.SIGTERM, signal.SIGUSR1:
    for call in (os.kill, os.getpid(), number), (c_raise, int(number)):
        atexit.register(following, f"after {call[0].__class__.__name__}")
        atexit.register(*call)
