"""No frame is above a custom sys.unraisablehook."""

import atexit
import sys
import traceback
import warnings


def hook(unraisable):
    print(unraisable.exc_value, sys._getframe().f_back, len(traceback.extract_stack()))
    warnings.warn("from the hook", stacklevel=2)


def fails():
    raise ValueError("fails")


warnings.simplefilter("always")
sys.unraisablehook = hook
atexit.register(fails)
