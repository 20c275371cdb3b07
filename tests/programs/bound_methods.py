"""Bound methods of all sorts, and taking them out by another binding of the same one."""

import atexit


class Base:
    def close(self, *args):
        print("Base.close", args)


class Resource(Base):
    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def close(self, *args):
        print("close", self.name, args)
        super().close(*args)

    def register(self):
        atexit.register(super().close, self.name)

    @classmethod
    def close_class(cls):
        print("close_class", cls.__name__)

    @staticmethod
    def close_static():
        print("close_static")


a, b = Resource("a"), Resource("b")
for each in a, b:
    atexit.register(each.close, 1)
    each.register()
atexit.register(Resource.close_class)
atexit.register(a.close_static)
atexit.register(Resource.close, b, 2)
atexit.register(Resource.close)
atexit.register([].append, 1)
atexit.register(a.__init__, "renamed")
atexit.register(a.__repr__)
atexit.register("{}".format)
print(a.close == a.close, a.close is a.close)
atexit.unregister(a.close)
atexit.unregister(Resource.close_class)
print(atexit.unregister(b.close_static))
