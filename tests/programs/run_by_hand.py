"""`_run_exitfuncs`, `_clear` and `_ncallbacks` as a program may use them."""

import atexit

print(atexit._run_exitfuncs(), atexit._clear(), atexit._ncallbacks())
atexit.register(print, "one")
atexit.register(int, "fails")
atexit.register(print, "two")
print(atexit._ncallbacks())
print(atexit._run_exitfuncs(), atexit._ncallbacks())
print(atexit._run_exitfuncs(), atexit._ncallbacks())
for i in range(50):
    atexit.register(print, i)
atexit.unregister(print)
print(atexit._ncallbacks(), atexit._run_exitfuncs())
atexit.register(print, "cleared")
atexit._clear()
print(atexit._ncallbacks(), atexit._run_exitfuncs())
atexit.register(print, "at exit")
