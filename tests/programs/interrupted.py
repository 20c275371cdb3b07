"""A KeyboardInterrupt ends the program: handlers run, then it dies by the signal."""

import atexit
import os
import signal


def handler(text):
    print(text)


atexit.register(handler, "registered before")
atexit.register(int, "fails")
os.kill(os.getpid(), signal.SIGINT)
handler("not reached")
