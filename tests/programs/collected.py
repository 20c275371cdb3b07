"""Cycles through handlers, and the collector as the program finds it."""

import atexit
import gc


class Node:
    def __init__(self, name):
        self.name, self.me = name, self

    def close(self):
        print("close", self.name)

    def __del__(self):
        print("node dies", self.name)


print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks, gc.garbage, gc.get_freeze_count() >= 0)
gc.collect()
for name in "abc":
    node = Node(name)
    atexit.register(node.close)
    node.registered = atexit.register
del node
gc.collect()
atexit.unregister(print)
print("nothing collected")
atexit._run_exitfuncs()
print("ran")
gc.collect()
node = Node("d")
atexit.register(node.close)
atexit.unregister(node.close)
del node
gc.collect()
print("d is gone")
atexit.register(Node("e").close)
