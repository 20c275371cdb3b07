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


atexit.register(sys.settrace, None)
atexit.register(sys.setprofile, None)
for each in handler, lambda *args, **kwargs: None, dict:
    atexit.register(each)
    atexit.register(each, [(1, 2)])
    atexit.register(each, end="")
atexit.register(Object())
atexit.register(sys.settrace, watch("trace"))
atexit.register(sys.setprofile, watch("profile"))
