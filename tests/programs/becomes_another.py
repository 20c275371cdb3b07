"""Exec: the handlers are gone, and the next program begins with none."""

import atexit
import os
import sys

if len(sys.argv) == 1:
    atexit.register(print, "never")
    try:
        os.execv("/nonexistent", ["x"])
    except OSError as error:
        print(error, error.__traceback__.tb_next)
    for wrong in (
        (lambda: os.execv()),
        (lambda: os.execv("a")),
        (lambda: os.execv("a", [])),
        (lambda: os.execve("a", ["b"])),
    ):
        try:
            wrong()
        except (TypeError, ValueError) as error:
            print(type(error), error)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, __file__, "execv"])
if sys.argv[1] == "execv":
    print(atexit._ncallbacks(), "atexit" in sys.modules)
    atexit.register(print, "never")
    sys.stdout.flush()
    os.execlpe(sys.executable, sys.executable, __file__, "execlpe", {**os.environ, "EXTRA": "1"})
atexit.register(print, "in the last program", sys.argv[1], os.environ["EXTRA"])
sys.exit(7)
