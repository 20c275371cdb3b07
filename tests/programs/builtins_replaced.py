"""What builtins hold is replaced by functions that print: none of ours calls them."""

import atexit
import builtins
import os
import sys

write = os.write


def handler(*args, **kwargs):
    write(1, b"handler\n")


def fails():
    raise ZeroDivisionError


def spy(name, real):
    def spied(*args, **kwargs):
        write(1, b"called: %b\n" % name.encode())
        return real(*args, **kwargs)

    return spied


atexit.register(handler)
replaced = {
    name: spy(name, value)
    for name, value in vars(builtins).items()
    if callable(value) and name[0] != "_" and not (isinstance(value, type) and issubclass(value, BaseException))
}
vars(builtins).update(replaced)
write(1, b"replaced\n")
atexit.register(handler, 1, [2, (3, {4: 5})], "text", b"bytes", a=1.5)
atexit.register(handler)
atexit.unregister(write)
atexit.register(fails)
atexit._run_exitfuncs()
atexit.register(fails)
atexit.register(handler, 1)
sys.stdout.flush()
