"""Handlers get their arguments as they were registered, whatever the keywords are called."""

import atexit


def show(*args, **kwargs):
    print(args, kwargs)


atexit.register(show)
atexit.register(show, 1, "two", [3.0], None)
atexit.register(show, self=1, args=2, kwargs=3, func=4, obj=5, cls=6, handler=7, frame=8, number=9)
atexit.register(show, **{"not an identifier": 1, "": 2})
atexit.register(show, *range(300), **{f"k{i}": i for i in range(300)})
late = []
atexit.register(show, late, late=late)
late.append("changed later")
loop = []
loop.append(loop)
atexit.register(show, loop, {"loop": loop})


class Text(str):
    def __hash__(self):
        return str.__hash__(self)

    def __eq__(self, other):
        return str.__eq__(self, other)


atexit.register(show, **{Text("subclass"): Text("of str")})


def exact(a, /, b, *, c=3):
    print("exact", a, b, c)


atexit.register(exact, 1, 2)
atexit.register(exact, 1, b=2, c=4)
atexit.register(exact, 1, 2, 3)
atexit.register(exact, a=1, b=2)
atexit.register(exact)
