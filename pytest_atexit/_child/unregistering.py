"""A part of the agent: what stands in for `atexit.unregister` and `_clear`, and notes what they take out."""

from interrupting import raising
from registering import Entry, real_unregister
from sitecustomize import live, monotonic_ns, put, unrecorded

NUMBERS = 100  # in one line, which must fit into the room that a forked child begins with


class Probe(list):
    """[anything, handler]: what the real `unregister` compares with each Entry."""

    __slots__ = ()

    if unrecorded:  # handlers that were registered before us are no entries

        def __eq__(self, other):
            return list.__eq__(self, other) if type(other) is Entry else other is self[1] or other == self[1]


class Any:
    __slots__ = ()
    __eq__ = type  # equal to all: what it returns, in C, is always true


class Census(Entry):
    """Equal to nothing: the real `unregister` shows it each Entry that is registered, and does nothing else."""

    __slots__ = ("note",)


Census.__eq__ = Census.__dict__["note"]
anything = Any()


def registered():
    """Numbers of the handlers that are registered now, in the order in which `unregister` would ask them."""
    entries = []
    census = Census()
    census.note = entries.append
    real_unregister(census)
    return [entry.number for entry in entries if type(entry) is Entry]


def note_gone(kind, numbers):
    """Write that these handlers, or other work, will not be called at exit any more."""
    global live
    live -= len(numbers)
    for i in range(0, len(numbers), NUMBERS):
        some = b",".join([b"%d" % number for number in numbers[i : i + NUMBERS]])
        put(b"%b\t%d\t%b\n" % (kind, monotonic_ns(), some))


def removed(kind, before):
    """Note which handlers are gone."""
    left = {*registered()}
    note_gone(kind, [number for number in before if number not in left])


def _clear(call, function, args, kwargs):
    if args or kwargs:
        return call
    before = registered()
    function()
    removed(b"C", before)
    return None


def unregister(call, function, args, kwargs):
    if len(args) != 1 or kwargs:
        return call
    before = registered()
    try:
        function(Probe((anything, args[0])))
    except BaseException as error:  # of somebody's `__eq__`; what was equal before that is gone
        return raising(call, error)
    finally:
        removed(b"U", before)
    return None
