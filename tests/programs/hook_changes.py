"""Hooks that are exchanged, deleted, emptied or broken while handlers run and fail."""

import atexit
import sys


def fails(text):
    raise ValueError(text)


def named(name):
    def hook(unraisable):
        print(name, unraisable.exc_value, sys.unraisablehook is hook)

    return hook


def exchanges(unraisable):
    print("exchanges", unraisable.exc_value)
    sys.unraisablehook = named("installed by a hook")


def raises(unraisable):
    print("raises", unraisable.exc_value)
    raise KeyError("in the hook")


def raises_deep(unraisable):
    def inner():
        try:
            raise KeyError("first")
        except KeyError:
            raise SystemExit(5)

    inner()


class Callable:
    def __call__(self, unraisable):
        print("object", unraisable.exc_value)

    def __repr__(self):
        return "<Callable>"


class CallableRaises(Callable):
    def __call__(self, unraisable):
        raise KeyboardInterrupt


def use(hook):
    sys.unraisablehook = hook


def delete():
    del sys.unraisablehook


def fails_and(action, *args):
    action(*args)
    raise ValueError("after a change within")


def state():
    print("state:", getattr(sys, "unraisablehook", "none"))


def scene(action, *args):
    """Registered in reverse: the action runs first."""
    atexit.register(state)
    atexit.register(fails, "second")
    atexit.register(state)
    atexit.register(fails, "first")
    atexit.register(action, *args)


scene(use, sys.__unraisablehook__)
scene(use, print)
scene(use, 1)
scene(use, raises_deep)
scene(use, CallableRaises())
scene(use, Callable())
scene(use, raises)
scene(use, exchanges)
scene(use, None)
scene(delete)
scene(fails_and, use, named("by a failing handler"))
scene(fails_and, delete)
scene(use, named("first of all"))


def recursive(unraisable):
    print("recursive", unraisable.exc_value)
    sys.unraisablehook = named("below")

    class Dies:
        def __del__(self):
            raise ValueError("in __del__")

    Dies()
    print("recursive ends")


scene(use, recursive)


def handler_with_del():
    class Dies:
        def __del__(self):
            raise OSError("in __del__ first")

    dies = Dies()
    del dies
    raise ValueError("and then itself")


sys.unraisablehook = named("hook")
atexit.register(state)
atexit.register(handler_with_del)
