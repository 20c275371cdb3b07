"""An `__eq__` that raises: the exception leaves `unregister` with a traceback that has no frame of ours."""

import atexit
import sys
import traceback


class Raises:
    def __init__(self, name, error=ValueError("eq")):
        self.name, self.error = name, error

    def __eq__(self, other):
        print(self.name, "asked")
        raise self.error

    def __call__(self):
        print("called", self.name)


class Exits(Raises):
    def __eq__(self, other):
        sys.exit(4)


class BadTruth(Raises):
    def __eq__(self, other):
        class Truth:
            def __bool__(self):
                raise OSError("truth")

        return Truth()


class Chained(Raises):
    def __eq__(self, other):
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise KeyError("chained") from error


class Equal:
    def __eq__(self, other):
        return True

    def __call__(self):
        print("called Equal")


def function():
    print("function")


def scene(wanted, *entries):
    atexit._clear()
    for entry in entries:
        atexit.register(entry)
    try:
        print(atexit.unregister(wanted))
    except BaseException as error:
        traceback.print_exc(file=sys.stdout)
        print([frame.name for frame in traceback.extract_tb(error.__traceback__)], sys.exc_info()[1] is error)
        print(len(traceback.extract_tb(error.__traceback__)), repr(error.__context__), repr(error.__cause__))
    print("left", atexit._ncallbacks())
    atexit._run_exitfuncs()


scene(function, function, Raises("one"), function)
scene(Raises("two"), function, print)
scene(function, Exits("three"), function)
scene(function, function, BadTruth("four"))
scene(function, Chained("five"))
scene(function, function, Equal(), Raises("seven", KeyboardInterrupt()))
scene(function, function, Raises("eight", GeneratorExit()))
same = Raises("nine")
scene(same, function, same)
try:
    raise LookupError("already handled")
except LookupError:
    scene(function, Raises("ten", RuntimeError("while another is handled")))
