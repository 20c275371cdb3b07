"""`_clear` and `_run_exitfuncs` refuse arguments in their own words."""

import atexit
import traceback

for function in atexit._clear, atexit._run_exitfuncs, atexit._ncallbacks:
    for args, kwargs in ((1,), {}), ((), {"a": 1}), ((1, 2), {"a": 1}):
        try:
            function(*args, **kwargs)
        except TypeError as error:
            print(error, len(traceback.extract_tb(error.__traceback__)))
