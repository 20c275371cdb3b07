"""An `__eq__` that registers, unregisters, clears or runs handlers while `unregister` is asking."""

import atexit


class Acts:
    def __init__(self, action, *args):
        self.action, self.args = action, args

    def __eq__(self, other):
        action, self.action = self.action, lambda *args: None
        action(*self.args)
        return False

    def __call__(self):
        print("called Acts")


def one():
    print("one")


def two():
    print("two")


def scene(action, *args):
    print(action.__name__)
    atexit.register(one)
    atexit.register(Acts(action, *args))
    atexit.register(two)
    atexit.unregister(two)
    print(atexit._ncallbacks())
    atexit._run_exitfuncs()
    atexit._clear()


scene(atexit.unregister, one)
scene(atexit.unregister, print)
scene(print, "asked")
