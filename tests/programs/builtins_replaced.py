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
for name, value in list(vars(builtins).items()):
    if not name.startswith("_") and callable(value) and not isinstance(value, type):
        setattr(builtins, name, spy(name, value))
for name in [
    "str",
    "int",
    "bytes",
    "tuple",
    "list",
    "dict",
    "set",
    "frozenset",
    "type",
    "object",
    "property",
    "map",
    "zip",
    "range",
    "bool",
    "float",
]:
    setattr(builtins, name, spy(name, getattr(builtins, name)))
atexit.register(handler, 1, [2, (3, {4: 5})], "text", b"bytes", a=1.5)
atexit.register(handler)
atexit.unregister(write)
atexit.register(fails)
atexit._run_exitfuncs()
atexit.register(fails)
atexit.register(handler, 1)
sys.stdout.flush()
