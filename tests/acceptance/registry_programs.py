"""Runs programs of registrations, one for each line of JSON that it reads, and answers with what happened.

Imported by a test, `happens` does the same in that process: names are bound at the top, as modules do it.
"""

import json
import sys
from atexit import _clear, _ncallbacks, _run_exitfuncs, register, unregister

DEEP = 3  # nested runs


class Handler:
    """Number `kind` says what it does when it is called and when it is compared."""

    def __init__(self, world, name, kind):
        self.world, self.name, self.kind = world, name, kind

    def __repr__(self):
        return f"<{self.name}>"

    def __call__(self, /, *args, **kwargs):
        world = self.world
        world.log.append(["call", self.name, list(args), kwargs, _ncallbacks()])
        if self.kind == "raises":
            raise OSError(self.name)
        if self.kind == "leaves":
            sys.exit(3)
        if self.kind == "registers":
            register(world.handlers[0], "late")
        if self.kind == "unregisters":
            unregister(world.handlers[0])
        if self.kind == "clears":
            _clear()
        if self.kind == "clears and registers":
            _clear()
            register(world.handlers[1], "again")
        if self.kind == "runs" and world.depth < DEEP:
            world.depth += 1
            _run_exitfuncs()
            world.depth -= 1
        return "ignored"

    def __eq__(self, other):
        self.world.log.append(["asked", self.name, getattr(other, "name", "?")])
        if self.kind == "equal":
            return isinstance(other, Handler)
        if self.kind == "equality raises":
            raise ValueError(self.name)
        if self.kind == "equality registers" and len(self.world.log) < 200:
            register(self.world.handlers[2], "compared")
        return NotImplemented

    __hash__ = None


class Reflected(Handler):
    """A subclass, whose comparison goes first."""

    def __eq__(self, other):
        self.world.log.append(["asked first", self.name, getattr(other, "name", "?")])
        return self is other

    __hash__ = None


class World:
    def __init__(self, kinds):
        self.log, self.depth = [], 0
        self.handlers = [
            (Reflected if kind == "reflected" else Handler)(self, f"h{n}", kind) for n, kind in enumerate(kinds)
        ]

    def hook(self, unraisable):
        about = getattr(unraisable.object, "name", None)
        self.log.append(["ignored", unraisable.exc_type.__name__, unraisable.err_msg, about])

    def do(self, name, number=0, args=(), kwargs=None):
        handler = self.handlers[number]
        if name == "register":
            return register(handler, *args, **kwargs or {}) is handler
        if name == "unregister":
            return unregister(handler)
        return {"clear": _clear, "count": _ncallbacks, "run": _run_exitfuncs}[name]()


def happens(kinds, steps):
    world = World(kinds)
    before, sys.unraisablehook = sys.unraisablehook, world.hook
    try:
        for step in [*steps, ["count"], ["run"], ["count"]]:
            try:
                world.log.append([step[0], world.do(*step)])
            except (TypeError, ValueError) as error:  # PyPy's register has a parameter `func`
                world.log.append([step[0], repr(error)])
            if len(world.log) > 400:
                break
        return world.log
    finally:
        sys.unraisablehook = before
        _clear()


if __name__ == "__main__":
    _clear()
    for line in sys.stdin:
        print(json.dumps(happens(*json.loads(line))), flush=True)
