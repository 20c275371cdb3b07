"""A part of the agent: what all kinds of exit-time work have in common that are no handlers of `atexit`."""

from failing import expected, missing, note_raised, settle
from registering import Entry, entry_of, making_runs, numbers, registration, when_raised
from sitecustomize import attempt, has_room, live, put, sys


class Witness:
    # Stands in for a function that is called while an exception is handled: `look` notes that exception and returns
    # the function. The interpreter looks `__call__` up and calls what it gets, so no frame of ours is between.
    __slots__ = ("look",)
    __call__ = property(lambda witness: witness.look())


def noted(kind, priority, work, depth, maker=None):
    """Write that work (what is called, with which arguments) will be done at exit.

    Returns:
        its number, or None if that could not be written.
    """
    global live
    number = next(numbers)
    line = b"K\t%b\t%b\t%b" % (kind, priority, registration(number, *work, depth, maker=maker)[2:])
    if not has_room(len(line)):
        return None
    put(line)
    live += 1
    return number


def doing(number, handler, args, kwargs, ends=None):
    """A callable that does the work, and writes its start and end."""
    if ends is None and "__call__" not in Entry.__dict__:  # the program has not imported `atexit`
        Entry.__call__ = making_runs(when_raised)
    return entry_of(number, handler, args, kwargs, ends or Entry)


def ends_for(module, name):
    """A kind of entries: what their handlers raise is handled next by this function of a module."""
    run = making_runs(lambda called: attempt("expect", called, module, name))
    return type("Entry", (Entry,), {"__slots__": (), "__call__": run})


def expect(called, module, name):
    """Note the exception that this function of a module is about to handle."""
    if called:  # none: somebody has looked at `__call__` of an entry
        called.pop()
        return
    space = __import__(module).__dict__  # what handles it imports it, too
    function = space.get(name, missing)
    if type(function) is Witness or function is missing:
        return

    def look():
        settle()
        note_raised(sys.exc_info()[1])
        return function

    witness = Witness()
    witness.look = look
    expected.append((space, name, witness, function))
    space[name] = witness
