"""As an attribute of a class the functions don't bind."""

import atexit
from functools import partial


class Service:
    on_exit = atexit.register
    off = atexit.unregister
    run = atexit._run_exitfuncs

    def __init__(self, name):
        self.name = name
        self.on_exit(self.close)
        self.on_exit(print, "name", name)

    def close(self):
        print("close", self.name)


one = Service("one")
two = Service("two")
one.off(one.close)
partial(Service.on_exit, print)("through a partial")
type("Made", (), {"register": atexit.register})().register(print, "through a type")
print(two.run())
Service("three")
