"""A handler has the whole stack to itself, as its RecursionError tells."""

import atexit


def depth(n=0):
    try:
        return depth(n + 1)
    except RecursionError:
        return n


def recurses():
    recurses()


atexit.register(lambda *args, **kwargs: print("depth", depth()))
atexit.register(lambda *args, **kwargs: print("depth", depth()), 1)
atexit.register(lambda *args, **kwargs: print("depth", depth()), a=1)
atexit.register(recurses)
