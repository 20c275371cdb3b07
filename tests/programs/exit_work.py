"""What else does work at exit, and looks around: callbacks of threading, threads, finalizers, and `__del__`."""

import atexit
import multiprocessing.util
import os
import sys
import threading
import traceback
import weakref


class Target:
    pass


def say(*words):
    os.write(1, f"{' '.join(map(str, words))}\n".encode())  # order counts, and stdout is flushed late


def stack():
    """Who called, from the outermost one: our own functions would be seen here."""
    return " > ".join(step.name for step in traceback.extract_stack()[:-2])


def works(*args, **kwargs):
    say("works", args, kwargs, "below", stack())
    return 5


def fails(*args):
    say("fails", args, "below", stack())
    raise ValueError(*args)


def leaves():
    say("leaves")
    sys.exit(7)


def hook(kind, error, step):
    say("excepthook", kind.__name__, error, "below", stack(), [line.name for line in traceback.extract_tb(step)])
    return 3  # as many a lambda does


def thread_hook(args):
    say("threading.excepthook", args.exc_type.__name__, args.thread.name, "below", stack())
    return 4


class Deleted:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        say("deletes", self.name)
        raise OSError(self.name)


sys.excepthook = hook
threading.excepthook = thread_hook
target, other = Target(), Target()

finalizers = [weakref.finalize(target, works, number, key=number) for number in range(3)]
weakref.finalize(target, fails, 3)
weakref.finalize(other, works, "early")
detached = weakref.finalize(other, works, "detached")
say(detached.detach()[1:], detached.alive, detached)
finalizers[1].atexit = False
finalizers[2].atexit = False
finalizers[2].atexit = True
say([(each.alive, each.atexit) for each in finalizers], finalizers[0].peek()[1:])
say(finalizers[0].func if hasattr(finalizers[0], "func") else "no func", weakref.finalize.atexit.__doc__)
del other


class Slow(weakref.finalize):
    def __call__(self, _=None):
        say("called by a subclass")
        return super().__call__(_)


slow = Slow(target, works, "subclass")

processed = [
    multiprocessing.util.Finalize(None, works, args=(priority,), kwargs={"priority": priority}, exitpriority=priority)
    for priority in (10, -5, 0)
]
multiprocessing.util.Finalize(None, fails, args=[10], exitpriority=9)
cancelled = multiprocessing.util.Finalize(None, works, args=("cancelled",), exitpriority=8)
cancelled.cancel()
say(cancelled.still_active(), processed[0].still_active(), processed[0])
by_hand = multiprocessing.util.Finalize(None, works, args=("by hand",), exitpriority=7)
say("returns", by_hand(), by_hand())
without = multiprocessing.util.Finalize(target, works, args=("when its object dies",))

for bad in (), (None,):
    try:
        threading._register_atexit(*bad) if not bad else weakref.finalize(*bad)
    except TypeError as error:
        say(type(error).__name__, [step.name for step in traceback.extract_tb(error.__traceback__)])
event = threading.Event()
threading._register_atexit(event.set)
threading._register_atexit(works, "callback", key=1)


def waits(number):
    event.wait()
    if number:
        threads[number - 1].join()
    if number == 1:
        raise KeyError(number)
    if number == 2:
        sys.exit("silent")


class Own(threading.Thread):
    def run(self):
        event.wait()
        threads[-1].join()
        say(self.name, "ends")


threads = [threading.Thread(target=waits, args=(number,), name=f"waits {number}") for number in range(3)]
for thread in threads:
    thread.start()
Own(name="own").start()
threading.Thread(target=event.wait, daemon=True).start()


def refused():
    for register in threading._register_atexit, atexit.register:
        try:
            say(register.__name__, register(works, "late"))
        except RuntimeError as error:
            say(error, [step.name for step in traceback.extract_tb(error.__traceback__)])
    weakref.finalize(target, works, "made in a handler")
    Deleted("in a handler")


atexit.register(refused)
late = Deleted("at teardown")
say("end of main", [type(each).__name__ for each in (sys.excepthook, sys.unraisablehook)], sys.gettrace())
