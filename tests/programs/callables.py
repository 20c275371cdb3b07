"""Lambdas, callable objects, C functions, classes and functions that make something to be driven."""

import atexit
import functools
import itertools
import operator

atexit.register(lambda: print("lambda"))
atexit.register(print, "C function", "with", sep="-")
atexit.register(operator.methodcaller("append", 1), [])
atexit.register(itertools.count, 1)
atexit.register(int, "not a number")
atexit.register(str.upper, "x")
atexit.register(object)
atexit.register(type, "Made", (), {})
atexit.register(iter, [])
atexit.register(dict, a=1)
atexit.register(functools.lru_cache(print), "cached")
atexit.register(exec, "print('exec', __name__ if '__name__' in globals() else None)", {"__name__": "given"})
atexit.register(exec, "print('no namespace')")
atexit.register(eval, "1/0", {})


class Closer:
    def __call__(self, *args, **kwargs):
        print("object", args, kwargs)


class Made:
    def __new__(cls, *args):
        print("__new__", args)
        return super().__new__(cls)

    def __init__(self, *args):
        print("__init__", args)

    def __del__(self):
        print("__del__")


class Meta(type):
    def __call__(cls, *args):
        print("Meta.__call__", args)


class Metaclassed(metaclass=Meta):
    pass


class BadInit:
    def __init__(self):
        return 1


atexit.register(Closer())
atexit.register(Closer(), 1, a=2)
atexit.register(Made, 1)
atexit.register(Metaclassed, 2)
atexit.register(BadInit)


@atexit.register
def generator():
    print("never printed")
    yield


@atexit.register
async def coroutine():
    print("never printed")


class Shadowed(Closer):
    pass


shadowed = Shadowed()
shadowed.__call__ = lambda: print("an attribute of the object isn't asked")
atexit.register(shadowed)


class Replaced(Closer):
    pass


atexit.register(Replaced())
Replaced.__call__ = lambda self: print("looked up when called")


class Emptied:
    def __call__(self):
        print("never printed")


atexit.register(Emptied())
del Emptied.__call__


class Static:
    __call__ = staticmethod(lambda: print("static __call__"))


class Typed:
    __call__ = Closer


class Computed:
    @property
    def __call__(self):
        print("property asked")
        return lambda: print("property called")


class Failing:
    @property
    def __call__(self):
        raise AttributeError("no such thing")


for each in Static, Typed, Computed, Failing:
    atexit.register(each())
