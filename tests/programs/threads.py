"""Threads that register, unregister and raise."""

import atexit
import threading


def show(*args):
    print(args, threading.current_thread().name)


def run(target, *args, name="worker"):
    thread = threading.Thread(target=target, args=args, name=name)
    thread.start()
    thread.join()


run(atexit.register, show, "target is register itself")
run(lambda: atexit.register(show, "in a thread"))
run(atexit.unregister, print)
run(lambda: atexit.register(1))
run(atexit.register)
run(atexit.register, print, "taken out by a thread")
run(atexit.unregister, print)
run(atexit._ncallbacks)
started = threading.Event()


def late():
    started.wait()
    atexit.register(show, "registered while the main thread waits for this one")


atexit.register(show, "first")
threading.Thread(target=late, name="late").start()
barrier = threading.Barrier(4)


def many():
    barrier.wait()
    for i in range(200):
        atexit.register(len, "x")
        atexit.register(show.__init__)


threads = [threading.Thread(target=many) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(atexit._ncallbacks())
atexit.unregister(len)
atexit.register(run, show, "a thread that a handler starts", name="from a handler") if threading.__file__ else None
started.set()
