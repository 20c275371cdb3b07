"""Handlers that raise, each in another way: reported, ignored, and the others run."""

import atexit


class Special(Exception):
    pass


class Base(BaseException):
    pass


def thrower(exception):
    def throws():
        raise exception

    return throws


for exception in (
    Exception("text"),
    Exception(),
    Exception("one", 2, None),
    SystemExit(7),
    SystemExit("text"),
    SystemExit,
    KeyboardInterrupt(),
    KeyboardInterrupt("text"),
    BaseException("base"),
    Base("base"),
    Special("special"),
    StopIteration("value"),
    StopIteration,
    StopAsyncIteration(),
    GeneratorExit(),
    MemoryError(),
    RecursionError("text"),
    OSError(2, "no such", "file"),
    KeyError("quoted"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "reason"),
    SyntaxError("text", ("file", 1, 2, "source line", 1, 4)),
    AssertionError("several\nlines"),
    Warning("warning"),
    ImportError("text", name="module"),
):
    atexit.register(thrower(exception))
    atexit.register(thrower(exception), *[()][:0])


@atexit.register
def deep(n=50):
    if n:
        deep(n - 1)
    else:
        1 / 0


atexit.register(lambda: next(iter([])))
atexit.register(next, iter([]))
atexit.register(int, "x")
atexit.register(bytearray, 1 << 62)
atexit.register(lambda: None, 1)
atexit.register((lambda: (yield))().throw, ValueError("from a generator"))
atexit.register(print, "the last one runs first")
