"""Partials, with keyword arguments too, nested, changed, of methods, and subclasses."""

import atexit
import functools


def show(*args, **kwargs):
    print(args, sorted(kwargs.items()))


class Loud(functools.partial):
    def __call__(self, *args, **kwargs):
        print("Loud", args, kwargs, self.args, self.keywords)
        return super().__call__(*args, **kwargs)


class Quiet(functools.partial):
    pass


class Owner:
    def method(self, *args, **kwargs):
        show(*args, **kwargs)

    half = functools.partialmethod(method, 1, k=2)


for kind in functools.partial, Quiet, Loud:
    base = kind(show, 1, k=1)
    atexit.register(base)
    atexit.register(base, 2)
    atexit.register(base, 2, k=3)
    atexit.register(base, z=4)
    atexit.register(kind(base, 5, y=5), 6, x=6)
    changed = kind(show, "before")
    atexit.register(changed, k=7)
    atexit.register(changed)
    changed.__setstate__((show, ("after",), {"set": 1}, None))
    atexit.register(kind(functools.reduce, int))
    atexit.register(kind((1).__truediv__, 0), unknown=1)
atexit.register(Owner().half)
atexit.register(Owner().half, 3, z=4)
equal = functools.partial(show, "equal")
atexit.register(equal)
atexit.unregister(functools.partial(show, "equal"))
atexit.register(functools.partial(atexit.register, show, "too late"))
atexit.register(functools.partial(print, "sep", "and", sep="-"), "end", end="!\n")
