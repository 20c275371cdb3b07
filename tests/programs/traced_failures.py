"""A profiler that the program starts sees the program's own frames when a handler fails, and no others."""

import atexit
import os
import sys


def watch(frame, event, argument):
    os.write(1, f"{event} {os.path.basename(frame.f_code.co_filename)} {frame.f_code.co_name}\n".encode())


def fails():
    raise ValueError("fails")


atexit.register(sys.setprofile, None)
atexit.register(fails)
atexit.register(sys.setprofile, watch)
