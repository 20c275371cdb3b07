"""Module teardown comes after the handlers, and a late registration is accepted and never runs."""

import atexit
import os


class Late:
    def __init__(self):
        self.register, self.unregister, self.write = atexit.register, atexit.unregister, os.write

    def __del__(self):
        self.write(1, b"teardown\n")
        self.register(self.write, 1, b"never\n")
        self.unregister(self.write)
        self.write(1, b"%d\n" % atexit_count())


atexit_count = atexit._ncallbacks
late = Late()
keep = late.__class__.__del__
atexit.register(os.write, 1, b"handler\n")


@atexit.register
def registers_late():
    atexit.register(os.write, 1, b"never\n")
