"""Names and modules that aren't what they should be, in every place that a recorder might look into."""

import atexit
import sys


class Loud:
    def __get__(self, instance, owner=None):
        print("descriptor asked")
        raise KeyError("descriptor")


class Meta(type):
    @property
    def __name__(cls):
        print("Meta.__name__ asked")
        raise RuntimeError

    @property
    def __mro__(cls):
        print("Meta.__mro__ asked")
        raise RuntimeError

    @property
    def __dict__(cls):
        print("Meta.__dict__ asked")
        raise RuntimeError

    def mro(cls):
        return type.mro(cls)


def asked(name):
    def ask(cls):
        print(name, "asked")
        raise RuntimeError(name)

    return property(ask)


Meta.__qualname__ = "Meta"
for name in "__qualname__", "__module__", "__doc__", "__bases__", "__base__", "__name__":
    try:
        type.__setattr__(Meta, name, asked(name))
    except (AttributeError, TypeError) as error:
        print(error)


class Nameless(metaclass=Meta):
    __slots__ = ()

    def __call__(self):
        print("Nameless called")


class Attributes:
    __name__ = __qualname__ = "text"
    __module__ = Loud()
    __dict__ = Loud()
    __class__ = Loud()
    __self__ = __func__ = __wrapped__ = func = Loud()

    def __call__(self):
        print("Attributes called")


class Instance:
    def __init__(self):
        self.__dict__.update(__qualname__=Loud(), __module__=3, __name__=None)

    def __call__(self):
        print("Instance called")


def function():
    print("function called")


function.__module__ = Loud()
function.__doc__ = Loud()
function.__name__ = "\ud800 surrogate\tand\nlines\0"
function.__qualname__ = "a.<locals>.<locals>.\x1f\x1e\x1d\ud800\t\n\0" + "ü" * 5000


def failing(text):
    raise ValueError(text)


failing.__qualname__ = "fáiling <locals>."
for each in Nameless(), Nameless, Attributes(), Instance(), function:
    atexit.register(each)
atexit.register(failing, "\ud800\t\n\x1e\x1f")
__name__ = Loud()
atexit.register(lambda: print("__name__ isn't text"))
del __name__
atexit.register(lambda: print("no __name__"))
exec(compile("import atexit\natexit.register(lambda: print('odd file'))", "\ud800\t\n\0".replace("\0", ""), "exec"), {})
namespace = type("Namespace", (dict,), {"get": Loud(), "__getitem__": lambda self, key: dict.__getitem__(self, key)})
exec("import atexit\natexit.register(print, 'odd namespace')", namespace())
module = type(sys)("\ud800")
exec("import atexit\n@atexit.register\ndef f():\n    print('odd module')", module.__dict__)
