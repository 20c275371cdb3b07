"""A profiler and a tracer that the program starts see no frames of ours while it registers."""

import atexit
import os
import sys


def watch(frame, event, argument):
    os.write(1, f"{event} {os.path.basename(frame.f_code.co_filename)} {frame.f_code.co_name}\n".encode())
    return watch


def handler(*args, **kwargs):
    pass


def main():
    atexit.register(handler)
    atexit.register(handler, 1, a=2)
    atexit.unregister(handler)
    atexit._ncallbacks()
    atexit._run_exitfuncs()


sys.settrace(watch)
main()
sys.settrace(None)
sys.setprofile(watch)
main()
sys.setprofile(None)
