"""A part of the agent: how children ended, as `os.waitpid` and the like tell the program.

Such a call may last, and signal handlers run meanwhile: no frame of ours may be there then. So C code calls the
function, that of `functools.lru_cache`, which keeps what it returns in a dict. The program calls a partial of that,
which was made for this one call and dies when it has returned. The callback of a weak reference to it writes down what
is in the dict, and empties that: all in C, so that neither a thread nor a signal comes between.
"""

from sitecustomize import (
    Builtin,
    Method,
    Stub,
    function_of,
    has_room,
    modules,
    monotonic_ns,
    names,
    posix,
    ref,
    set_call,
    set_function,
    sys,
    target,
)
from values import built_in

# Lines but for their last field, made of what these functions return; "%.0a" stands for what isn't needed.
LINES = {
    "wait": b"W%x\t%x\t",
    "waitpid": b"W%x\t%x\t",
    "wait3": b"W%x\t%x\t%.0a",
    "wait4": b"W%x\t%x\t%.0a",
    "waitid": b"Y%x\t%.0a%.0a%x\t%x\t",
}


def cached(function):
    """What calls a function, and the dict in which that keeps results: looked for before audit hooks are added."""
    caching = built_in("_functools")._lru_cache_wrapper(function, None, False, None)
    (kept,) = [found for found in built_in("gc").get_referents(caching) if type(found) is dict]
    return caching, kept


for awaiting in LINES:  # no comprehension, which would not see what this part defines before all of it is there
    if type(getattr(posix(), awaiting, None)) is Builtin:
        names[getattr(posix(), awaiting)] = awaiting
if sys.implementation.name == "cpython":
    callers = {}
    for awaiting in names:
        if names[awaiting] in LINES:
            callers[awaiting] = cached(awaiting)
    chain_iterables, partial = built_in("itertools").chain.from_iterable, built_in("_functools").partial


stood_in = False  # whether all of that is done


def waiter(stub):
    """A callable for one call of the function."""
    function = function_of(stub)
    caching, kept = callers[function]
    call = partial(caching)
    if has_room(0):
        call.noted = ref(call, Method(next, noting(LINES[names[function]], kept)))
    return call


def waiting(stub):
    """What is called, this time, by who calls `os.waitpid` or the like."""
    try:
        return waiter(stub)
    except Exception:  # no memory, no stack, an audit hook in C: how the child ended stays unknown
        return function_of(stub)


def stand_in_for_waits():
    """When a program begins to fork, or imports `threading`, as all do that start programs by means of the library.

    A wait must be invisible while it lasts, and noted when it has returned: what is called is made each time.
    """
    global stood_in
    if stood_in:
        return
    # Modules have them under their names: `posix`, `os`, and the program's own after `from os import waitpid`.
    places = [module.__dict__ for module in (posix(), *modules.values()) if type(module) is type(sys)]
    found = [
        (function, name, place)
        for function, name in [*names.items()]
        if name in LINES
        for place in places
        if place.get(name) is function
    ]
    body = {"__slots__": (), "__call__": property(waiting), "__module__": Builtin.__module__}
    kind, stubs = type(Builtin.__name__, (Stub,), body), {}
    for function, name, place in found:
        if function not in stubs:
            stub = stubs[function] = object.__new__(kind)
            set_function(stub, function)
            set_call(stub, function)
        place[name] = stubs[function]
    stood_in = True


def noting(line, kept):
    """An iterator without items: to draw one writes down what is kept, if a child has changed, and forgets it."""
    later = Builtin.__call__
    changed = filter(any, filter(None, chain_iterables(map(later, (kept.values,)))))
    lines = map(b"%b%x\n".__mod__, zip(map(line.__mod__, changed), iter(monotonic_ns, None)))
    written = map(later, iter(Method(target.__getitem__, 0), None), lines)
    return filter(().__contains__, chain_iterables((written, map(later, (kept.clear,)))))
