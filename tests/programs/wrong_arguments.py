"""Wrong arguments raise what they raise without us, in a traceback that has no frame of ours."""

import atexit
import traceback


def function():
    pass


class Uncallable:
    def __repr__(self):
        return "<Uncallable>"

    @property
    def __call__(self):
        raise AttributeError


CALLS = """
atexit.register()
atexit.register(1)
atexit.register(None, 1, a=2)
atexit.register("text")
atexit.register(Uncallable)
atexit.register(func=function)
atexit.register(function, func=function)
atexit.register(*[])
atexit.register(function, *1)
atexit.unregister()
atexit.unregister(1)
atexit.unregister(function, function)
atexit.unregister(func=function)
atexit.unregister(function, a=1)
atexit._ncallbacks(1)
atexit.unknown
""".strip().splitlines()
for number, call in enumerate(CALLS):
    try:
        exec(compile(f"def call{number}():\n    return {call}\nprint(call{number}())", __file__, "exec"))
    except BaseException as error:
        print(call, "|", type(error).__name__, "|", error)
        print([(frame.name, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)])
print(atexit._ncallbacks())
atexit._clear()


def ends_the_program():
    atexit.register(1)


ends_the_program()
