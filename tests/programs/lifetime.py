"""Arguments, callables, results and locals die when they would, and in that order."""

import atexit
import gc
import sys
import weakref


class Dies:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("dies", self.name)

    def __call__(self, *args, **kwargs):
        print("called", self.name)
        return Dies(f"result of {self.name}")

    def method(self):
        print("method of", self.name)

    def fails(self):
        local = Dies(f"local of {self.name}")
        raise ValueError(self.name)


def scene():
    atexit.register(Dies("callable 1"))
    atexit.register(Dies("callable 2"), Dies("argument"), keyword=Dies("keyword argument"))
    atexit.register(Dies("owner").method)
    atexit.register(Dies("failing owner").fails)
    atexit.register(lambda dies: None, Dies("argument of a lambda"))
    atexit.register(lambda dies=Dies("default"): Dies("result of a lambda") and None)
    atexit.register(print, "handlers begin")


def unregistered():
    one, two = Dies("one"), Dies("two")
    atexit.register(one, Dies("argument of one"))
    atexit.register(two, Dies("argument of two"), k=Dies("keyword of two"))
    atexit.unregister(one)
    print("unregistered one")
    del one
    atexit.unregister(two)
    del two
    print("unregistered two")
    atexit.register(Dies("cleared 1"), Dies("argument of cleared 1"))
    atexit.register(Dies("cleared 2"))
    atexit._clear()
    print("cleared")


def referenced():
    dies = Dies("referenced")
    reference = weakref.ref(dies, lambda reference: print("weak reference called"))
    atexit.register(dies)
    del dies
    gc.collect()
    print(reference() is not None, weakref.getweakrefcount(reference()))
    atexit._run_exitfuncs()
    print(reference())


def hook_ends(unraisable):
    print("hook", unraisable.exc_value)


scene()
atexit._run_exitfuncs()
print("run by hand has ended")
unregistered()
print("unregistered ones are gone")
referenced()
atexit.register(Dies("run").method)
sys.unraisablehook = hook_ends
scene()
module_global = Dies("module global")
