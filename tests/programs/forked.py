"""A child inherits the handlers, and each process runs its own."""

import atexit
import os
import sys


def show(*args):
    print("parent" if os.getpid() == parent else "child", *args)


def fails():
    raise ValueError("parent" if os.getpid() == parent else "child")


def wait(pid):
    sys.stdout.flush()
    print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    sys.stdout.flush()


def fork(in_child):
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        wait(pid)
    else:
        in_child()


def returns():
    atexit.register(show, "own")
    sys.exit(3)


def leaves():
    atexit.register(show, "never")
    os._exit(4)


def clears():
    atexit._clear()
    atexit.register(show, "after the clearing")
    sys.exit(5)


def unregisters():
    atexit.unregister(fails)
    sys.exit("text")


def forks():
    atexit.register(show, "of the child")
    fork(returns)
    sys.exit(6)


def runs():
    print(atexit._ncallbacks(), atexit._run_exitfuncs(), atexit._ncallbacks())
    os._exit(os.EX_OK if not atexit._ncallbacks() else 1)


parent = os.getpid()
atexit.register(show, "inherited")
atexit.register(fails)
for action in returns, leaves, clears, unregisters, forks, runs:
    print("--", action.__name__)
    fork(action)


@atexit.register
def forks_at_exit():
    fork(lambda: show("forked by a handler"))


@atexit.register
def leaves_at_exit():
    fork(lambda: os._exit(9))
