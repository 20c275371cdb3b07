"""Handlers that register, unregister, clear or run handlers."""

import atexit


def name(text):
    def handler():
        print(text)

    handler.__qualname__ = text
    return handler


a, b, c = name("a"), name("b"), name("c")


def acts(function, *args):
    print("acts:", function.__name__, function(*args), atexit._ncallbacks())


def scene(*functions):
    for function in functions:
        atexit.register(a)
        atexit.register(b)
        atexit.register(acts, *function)
        atexit.register(c)
        atexit._run_exitfuncs()
        print("left:", atexit._ncallbacks())


scene((atexit.register, c), (atexit.unregister, a), (atexit.unregister, c), (atexit._clear,), (atexit._ncallbacks,))
scene((atexit.unregister, acts), (atexit.register, acts, print), (atexit.unregister, print))

nested = []


def nest():
    if not nested:
        nested.append(1)
        print("nested run", atexit._run_exitfuncs())


scene((nest,))


def fails_in_nested_run():
    if len(nested) < 2:
        nested.append(2)
        atexit.register(fails)
        atexit._run_exitfuncs()
    raise ValueError("outer")


def fails():
    raise KeyError("inner")


scene((fails_in_nested_run,), (fails,))
depth = []


def deeper():
    depth.append(1)
    if len(depth) < 6:
        atexit.register(print, "registered at depth", len(depth))
        atexit._run_exitfuncs()
    depth.pop()
    if len(depth) == 3:
        1 / 0


guard = []


def guarded():
    if not guard:
        guard.append(1)
        deeper()


atexit.register(guarded)
atexit._run_exitfuncs()
guard.clear()
nested.clear()
atexit.register(a)
atexit.register(guarded)
atexit.register(nest)
atexit.register(acts, atexit.register, b)
atexit.register(acts, atexit.unregister, a)
