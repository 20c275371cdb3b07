"""The functions of `atexit` have no attributes of their own and take none."""

import atexit
import os

for function in atexit.register, atexit.unregister, atexit._clear, atexit._run_exitfuncs, os._exit, os.execv:
    try:
        function.attribute = 1
    except AttributeError as error:
        print(error)
    try:
        print(len(vars(function)))
    except TypeError as error:
        print(error)
    for name in "__name__", "__doc__", "__self__", "__qualname__":
        try:
            setattr(function, name, 1)
        except (AttributeError, TypeError) as error:
            print(type(error), error)
    print(sorted(set(dir(function)) ^ set(dir(len))))
