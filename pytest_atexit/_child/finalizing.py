"""A part of the agent: finalizers of `weakref` and of `multiprocessing` that are called at exit.

Both modules keep them in a dict. Ours is told when one is added or taken out. In the moment in which one is taken out
to be called at exit, what will be called is exchanged for what writes start and end, too.
"""

from exiting import doing, ends_for, noted
from sitecustomize import getframe, modules, pid, put
from unregistering import note_gone


def cover_finalizers():
    for name, cover in ("weakref", cover_weakref), ("multiprocessing.util", cover_multiprocessing):
        module = modules.get(name)
        try:
            if module is not None:
                cover(module.__dict__)
        except Exception:  # it is somebody else's module of that name
            pass


def is_below(code):
    """Whether what is called now was called, directly or not, by this code."""
    frame = getframe(2)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


# ---- weakref.finalize


class Registry(dict):
    """Of the live `weakref.finalize` objects: what each will call."""

    def __setitem__(self, finalizer, info):
        dict.__setitem__(self, finalizer, info)
        try:
            self.note(info)
        except Exception:
            put(b"L\n")

    def note(self, info):
        number = noted(b"finalize", b"", (info.func, info.args, info.kwargs or {}), 4, self.make)
        if number is not None:
            self.numbers[info.index] = number

    def pop(self, finalizer, default=None):
        info = dict.pop(self, finalizer, default)
        number = None if info is None else self.numbers.pop(info.index, None)
        if number is None:
            return info
        try:
            if getframe(1).f_code is self.call and is_below(self.exit):
                work = type(info)()
                work.func = doing(number, info.func, info.args, info.kwargs or {}, self.ends)
                work.args, work.kwargs = (), None
                return work
            if not self.kind._shutdown:
                note_gone(b"U", [number])
        except Exception:
            put(b"L\n")
        return info


def cover_weakref(space):
    kind = space["finalize"]
    if type(kind._registry) is Registry:
        return
    registry = Registry(kind._registry)
    registry.numbers, registry.kind, registry.ends = {}, kind, ends_for("sys", "excepthook")
    registry.call, registry.exit = kind.__call__.__code__, kind._exitfunc.__func__.__code__
    registry.make = kind.__init__.__code__
    get, change = kind.atexit.fget, kind.atexit.fset

    def set_atexit(finalizer, value):
        change(finalizer, value)
        info = registry.get(finalizer)
        number = None if info is None else registry.numbers.get(info.index)
        if info is not None and info.atexit and number is None:
            registry.note(info)
        elif info is not None and not info.atexit and number is not None:
            del registry.numbers[info.index]
            note_gone(b"U", [number])

    kind.atexit = property(get, set_atexit, None, kind.atexit.__doc__)
    kind._registry = registry


# ---- multiprocessing.util.Finalize


class PriorityRegistry(dict):
    """Of the live `Finalize` objects. A key is a priority, None for those that aren't called at exit, and a number."""

    def __setitem__(self, key, finalizer):
        dict.__setitem__(self, key, finalizer)
        try:
            if key[0] is not None:
                args = finalizer._args if type(finalizer._args) in (tuple, list) else ()
                kwargs = finalizer._kwargs if type(finalizer._kwargs) is dict else {}
                work = finalizer._callback, tuple(args), kwargs
                number = noted(b"multiprocessing", b"%d" % key[0], work, 3, self.make)
                if number is not None:
                    self.numbers[key] = number
        except Exception:
            put(b"L\n")

    def __delitem__(self, key):
        finalizer = dict.get(self, key)
        dict.__delitem__(self, key)
        number = self.numbers.pop(key, None)
        if number is None:
            return
        try:
            if getframe(1).f_code is self.call and finalizer._pid == pid and is_below(self.exit):
                handler, args, kwargs = finalizer._callback, tuple(finalizer._args), finalizer._kwargs
                finalizer._callback = doing(number, handler, args, kwargs, self.ends)
                finalizer._args, finalizer._kwargs = (), {}
            else:
                note_gone(b"U", [number])
        except Exception:
            put(b"L\n")

    def clear(self):
        gone = [*self.numbers.values()]
        dict.clear(self)
        self.numbers.clear()
        note_gone(b"U", gone)


def cover_multiprocessing(space):
    kind, function = space["Finalize"], space["_run_finalizers"]
    if type(space["_finalizer_registry"]) is PriorityRegistry:
        return
    registry = PriorityRegistry(space["_finalizer_registry"])
    registry.numbers, registry.ends = {}, ends_for("traceback", "print_exc")
    registry.call, registry.exit = kind.__call__.__code__, function.__code__
    registry.make = kind.__init__.__code__
    wr, _, *others = kind.__call__.__defaults__
    kind.__call__.__defaults__ = wr, registry, *others
    space["_finalizer_registry"] = registry
