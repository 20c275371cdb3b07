"""The report names the registered object by its own repr, whatever that does."""

import atexit
import functools


class Named:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        print("repr of", self.name)
        return f"<{self.name}>"

    def __call__(self, *args, **kwargs):
        raise ValueError(self.name)

    def method(self):
        raise ValueError("method")


class Unprintable(Named):
    def __repr__(self):
        print("repr raises")
        raise RuntimeError("repr")


class NotText(Named):
    def __repr__(self):
        return 1


class Exits(Named):
    def __repr__(self):
        raise SystemExit(3)


class Registers(Named):
    def __repr__(self):
        atexit.register(print, "too late")
        return f"<registers, {atexit._ncallbacks()}>"


for handler in (
    Named("plain"),
    Unprintable("a"),
    NotText("b"),
    Exits("c"),
    Registers("d"),
    Named("\ud800 ü\n"),
    Named("long" * 999),
):
    atexit.register(handler)
    atexit.register(handler, 1, a=2)
atexit.register(Named("owner").method)
atexit.register(functools.partial(Named("inner"), 1))
atexit.register(Named("class"), Named("argument"))
atexit.register(Named)
