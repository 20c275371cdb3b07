"""Exceptions whose text, type, notes or history are out of the ordinary."""

import atexit
import sys


class PrintingStr(Exception):
    def __str__(self):
        print("__str__ asked")
        return "printed"


class RaisingStr(Exception):
    def __str__(self):
        print("__str__ asked, raises")
        raise RuntimeError("__str__")


class PrintingRepr(Exception):
    def __repr__(self):
        print("__repr__ asked")
        return "repr"


class Argument:
    def __repr__(self):
        print("Argument.__repr__ asked")
        return "argument"

    def __str__(self):
        print("Argument.__str__ asked")
        return "argument text"


class Attributes(Exception):
    def __getattribute__(self, name):
        print("asked", name)
        return super().__getattribute__(name)

    @property
    def args(self):
        print("args asked")
        return ()


class Meta(type):
    def __getattribute__(cls, name):
        if name != "__class__":
            print("Meta asked", name)
        return super().__getattribute__(name)


class Metaclassed(Exception, metaclass=Meta):
    pass


class Nested:
    class Inner(Exception):
        pass


class Odd(Exception):
    pass


Odd.__module__ = None
Odd.__qualname__ = "Odd\ud800"


@atexit.register
def chained():
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError:
        raise TypeError("third")


@atexit.register
def suppressed():
    try:
        raise KeyError("hidden")
    except KeyError:
        raise ValueError("alone") from None


@atexit.register
def circular():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


@atexit.register
def context_circular():
    one, two = ValueError("one"), ValueError("two")
    one.__context__ = two
    two.__context__ = one
    raise one


@atexit.register
def deeply_chained():
    error = None
    for i in range(200):
        new = ValueError(i)
        new.__cause__ = error
        error = new
    raise error


@atexit.register
def with_notes():
    error = ValueError("noted")
    error.__notes__ = ["a note", "two\nlines"]
    raise error


@atexit.register
def own_traceback():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise error.with_traceback(None)


@atexit.register
def long_text():
    raise ValueError("x" * 20_000)


@atexit.register
def many_arguments():
    raise ValueError(*range(3000))


def throw(error):
    raise error


for kind in PrintingStr, RaisingStr, PrintingRepr, Attributes, Metaclassed, Nested.Inner, Odd:
    atexit.register(throw, kind)
    atexit.register(throw, kind("text"))
    atexit.register(throw, kind(Argument(), "text"))
atexit.register(throw, ValueError(Argument()))
atexit.register(throw, OSError(Argument(), Argument()))
atexit.register(throw, SystemExit(Argument()))
atexit.register(throw, 1)
if sys.version_info >= (3, 11):
    atexit.register(throw, ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [PrintingStr()])]))
