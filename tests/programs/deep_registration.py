"""Registering, unregistering and clearing wherever the stack is nearly used up."""

import atexit
import sys

sys.setrecursionlimit(200)
done = []


def count():
    done.append("ran")


def below(action):
    try:
        below(action)
    except RecursionError:
        pass
    action()


def above(n):
    if n:
        return above(n - 1)
    return atexit.register(count)


at_limit = 0
for depth in range(150, 200):
    try:
        at_limit += above(depth) is count
    except RecursionError:
        pass
print(0 < at_limit < 50, atexit._ncallbacks() == at_limit)
for action in lambda: atexit.unregister(print), lambda: atexit.register(count) and None:
    try:
        below(action)
    except RecursionError:
        print("recursion error")
sys.setrecursionlimit(1000)
registered = atexit._ncallbacks()
atexit._run_exitfuncs()
print(len(done) == registered)
