"""A profiler and a tracer that the program starts see the program's own frames in its handlers, and no others."""

import atexit
import os
import sys


def watch(kind):
    def watcher(frame, event, argument):
        name = getattr(argument, "__qualname__", "") if event.startswith("c_") else ""
        os.write(
            1, f"{kind} {event} {os.path.basename(frame.f_code.co_filename)} {frame.f_code.co_name} {name}\n".encode()
        )
        return watcher

    return watcher


class Object:
    def __call__(self):
        len("x")


def handler(*args, **kwargs):
    len(args)


def fails():
    raise ValueError("fails")


atexit.register(sys.settrace, None)
atexit.register(sys.setprofile, None)
for each in handler, Object(), fails, len, lambda: None:
    atexit.register(each)
    atexit.register(each, [1])
    atexit.register(each, a=1)
sys.unraisablehook = lambda unraisable: None
atexit.register(sys.settrace, watch("trace"))
atexit.register(sys.setprofile, watch("profile"))
