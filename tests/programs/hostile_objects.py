"""Objects whose special methods print and raise: none of them is asked more, or in another order, than without us."""

import atexit


def hostile(name):
    def method(self, *args):
        print("asked:", name, len(args))
        raise RuntimeError(name)

    return method


NAMES = [
    "__repr__",
    "__str__",
    "__hash__",
    "__eq__",
    "__ne__",
    "__lt__",
    "__bool__",
    "__len__",
    "__iter__",
    "__getattr__",
    "__getattribute__",
    "__format__",
    "__reduce__",
    "__reduce_ex__",
    "__dir__",
    "__sizeof__",
    "__get__",
    "__index__",
    "__contains__",
    "__getitem__",
    "__copy__",
    "__deepcopy__",
    "__class_getitem__",
    "__instancecheck__",
    "__subclasscheck__",
    "__del__",
    "__enter__",
    "__fspath__",
    "__bytes__",
]
methods = {name: hostile(name) for name in NAMES if name != "__del__"}


class Meta(type):
    pass


for name in NAMES:
    if name not in ("__del__", "__get__"):
        setattr(Meta, name, hostile("Meta." + name))


Hostile = Meta(
    "Hostile", (), {**methods, "__call__": lambda self, *args, **kwargs: print("called", len(args), len(kwargs))}
)
HostileInt = Meta("HostileInt", (int,), dict(methods))
HostileStr = type("HostileStr", (str,), {k: v for k, v in methods.items() if k not in ("__hash__", "__eq__")})
HostileTuple = type("HostileTuple", (tuple,), dict(methods))
HostileDict = type("HostileDict", (dict,), dict(methods))

handler = Hostile()
atexit.register(handler)
atexit.register(
    handler, Hostile(), HostileInt(1), HostileStr("text"), HostileTuple(), HostileDict(a=1), Hostile, HostileInt
)
atexit.register(handler, [Hostile(), {1: Hostile(), "k": HostileTuple((1,))}], k=Hostile())
atexit.register(lambda *args, **kwargs: print(len(args), len(kwargs)), Hostile(), a=Hostile())
atexit.register(Hostile)
print("registered")


@atexit.register
def raises_with_hostile_arguments():
    raise ValueError(1)


atexit.register(Hostile(), **{HostileStr("key"): 1})
