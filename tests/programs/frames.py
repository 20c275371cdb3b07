"""No frame is above a handler, and none of ours beside it."""

import atexit
import inspect
import sys
import traceback
import warnings


def stack():
    frame = sys._getframe()
    print(frame.f_back, [each.function for each in inspect.stack()], len(traceback.extract_stack()))
    for depth in 1, 2:
        try:
            print(sys._getframe(depth))
        except ValueError as error:
            print(error)


def warns(level):
    warnings.warn(f"level {level}", stacklevel=level)


class Object:
    def __call__(self):
        stack()


def from_signal():
    import signal

    signal.signal(signal.SIGALRM, lambda signum, frame: print("signal in", frame.f_code.co_name, frame.f_back))
    signal.raise_signal(signal.SIGALRM)


def fails():
    inner = lambda: 1 / 0
    inner()


warnings.simplefilter("always")
for level in 1, 2, 3:
    atexit.register(warns, level)
    atexit.register(warnings.warn, f"C call, level {level}", stacklevel=level)
atexit.register(stack)
atexit.register(stack, *())
atexit.register(Object())
atexit.register(from_signal)
atexit.register(fails)
atexit.register(lambda: print(sys.exc_info()))


def now():
    stack()


def runs():
    atexit.register(now)
    atexit._run_exitfuncs()


runs()
atexit.register(stack)
