"""Each sub-interpreter has a registry of its own, which is run when it ends."""

import atexit
import sys

if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

CODE = """
import atexit, os, sys
def handler(text):
    os.write(1, text)
def fails():
    raise ValueError("in a sub-interpreter")
atexit.register(handler, b"sub: first\\n")
atexit.register(handler, b"sub: second\\n")
atexit.unregister(print)
if {fails}:
    atexit.register(fails)
os.write(1, b"sub: %d registered\\n" % atexit._ncallbacks())
"""
atexit.register(print, "main")
for fails in False, True:
    number = interpreters.create()
    interpreters.run_string(number, CODE.format(fails=fails))
    atexit.register(print, "main again")
    interpreters.destroy(number)
number = interpreters.create()
interpreters.run_string(number, CODE.format(fails=False))
atexit.register(interpreters.destroy, number)
atexit.register(print, "main at the end")
