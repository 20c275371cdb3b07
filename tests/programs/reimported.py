"""`atexit` imported again, reloaded, and looked for in other ways: one registry, recorded each time."""

import atexit
import importlib
import importlib.util
import sys

first = atexit
atexit.register(print, "first")
del sys.modules["atexit"]
import atexit

print(atexit is first, atexit.register is first.register, repr(atexit.register), atexit._ncallbacks())
atexit.register(print, "second")
first.register(print, "by the first")
print(importlib.reload(atexit) is atexit, atexit._ncallbacks())
atexit.register(print, "reloaded")
spec = importlib.util.find_spec("atexit")
third = importlib.util.module_from_spec(spec)
spec.loader.exec_module(third)
third.register(print, "made from a spec")
print(spec, third, third is atexit, third._ncallbacks())
third.unregister(len)
other = __import__("atexit")
print(other is atexit, importlib.import_module("atexit") is atexit)


def counted():
    print("counted", atexit._ncallbacks(), first._ncallbacks(), third._ncallbacks())


first.register(counted)
third.unregister(counted)
atexit.register(counted)
sys.modules["atexit"] = None
try:
    import atexit
except ImportError as error:
    print(error)
