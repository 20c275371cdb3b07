"""All that builtins hold is deleted: registering, unregistering, running and reporting go on."""

import atexit
import builtins
import os
import sys

write = os.write


def handler(*args, **kwargs):
    write(1, b"handler\n")


def fails():
    raise ZeroDivisionError


class Equal:
    def __eq__(self, other):
        write(1, b"asked\n")
        return False

    def __call__(self):
        write(1, b"Equal called\n")


class Raises(Equal):
    def __eq__(self, other):
        raise ZeroDivisionError


ZeroDivisionError = ZeroDivisionError
Raised = BaseException
hook = sys.unraisablehook
atexit.register(handler)
vars(builtins).clear()
atexit.register(handler)
atexit.register(handler, 1, [2, (3, {4: 5})], "text", b"bytes", a=1.5)
atexit.register(Equal())
atexit.register(fails)
atexit.unregister(handler)
atexit.register(handler, handler, k=Equal)
atexit.register(Raises())
try:
    atexit.unregister(fails)
except Raised:
    write(1, b"raised\n")
atexit._run_exitfuncs()
atexit.register(handler)
atexit._clear()
atexit.register(fails)
atexit.register(handler)
if not os.fork():
    atexit.register(handler)
    os._exit(3)
write(1, b"%d\n" % os.wait()[1])
