"""`unregister` asks for equality in the same order, with the same operands, as often and no more."""

import atexit


class Equal:
    def __init__(self, name, answer=False):
        self.name, self.answer = name, answer

    def __eq__(self, other):
        print(self.name, "==", getattr(other, "name", type(other).__name__))
        return self.answer

    def __call__(self):
        print("called", self.name)

    __hash__ = None


class Sub(Equal):
    def __eq__(self, other):
        print("Sub", self.name, "==", getattr(other, "name", type(other).__name__))
        return NotImplemented if self.answer is None else self.answer


class Truth:
    def __init__(self, value):
        self.value = value

    def __bool__(self):
        print("truth asked")
        return self.value


def function():
    print("function")


entries = [
    Equal("a"),
    Equal("b", True),
    function,
    Sub("c"),
    Equal("d", Truth(False)),
    Equal("e", Truth(True)),
    Sub("f", None),
]


def fill():
    atexit._clear()
    for entry in entries:
        atexit.register(entry)
        atexit.register(entry, 1) if entry is function else None


class Any:
    name = "any"

    def __eq__(self, other):
        print("any ==", getattr(other, "name", type(other).__name__))
        return True


class Never(Any):
    def __eq__(self, other):
        print("never")
        return False


class Wrong(Any):
    def __eq__(self, other):
        return NotImplemented

    def __ne__(self, other):
        print("__ne__ asked")
        return False


for wanted in (
    *entries,
    Any(),
    Never(),
    Wrong(),
    Equal("x"),
    Equal("y", True),
    Sub("z"),
    Sub("s", True),
    Sub("n", None),
    1,
    None,
    "text",
    print,
    [],
    [1, 2],
):
    fill()
    print("unregister", getattr(wanted, "name", type(wanted).__name__))
    print(atexit.unregister(wanted), atexit._ncallbacks())
    atexit._run_exitfuncs()
fill()
