"""The standard library's own exit work: logging, weakref.finalize, executors, multiprocessing's Finalize."""

import atexit
import concurrent.futures
import logging
import logging.handlers
import multiprocessing.util
import sys
import threading
import weakref


class Target:
    pass


class Loud(logging.StreamHandler):
    def flush(self):
        print("logging flushes")

    def close(self):
        print("logging closes")
        super().close()


def fails(text):
    raise ValueError(text)


target = Target()
atexit.register(print, "before logging's")
logging.getLogger().addHandler(Loud(sys.stdout))
one = weakref.finalize(target, print, "finalize one")
two = weakref.finalize(target, fails, "finalize two")
three = weakref.finalize(target, print, "not at exit")
three.atexit = False
multiprocessing.util.Finalize(None, print, args=("Finalize",), exitpriority=1)
threading._register_atexit(print, "threading callback")
pool = concurrent.futures.ThreadPoolExecutor(1)
future = pool.submit(print, "task")
event = threading.Event()
pool.submit(event.wait)
atexit.register(fails, "ordinary")
atexit.register(print, "last registered")
print(one.alive, future.result(), atexit._ncallbacks())
event.set()
