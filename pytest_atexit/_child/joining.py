"""A part of the agent: what `threading` does at exit. First its callbacks, then the interpreter waits for threads."""

from exiting import Witness, doing, noted
from ignoring import write_ignored
from registering import entry_of, exit_begins, numbers, site_of
from sitecustomize import (
    Function,
    Method,
    Stub,
    get_ident,
    getframe,
    live,
    modules,
    monotonic_ns,
    names,
    put,
    sys,
)
from values import described, dict_of, mro_of, stub_of, thread_name
from waiting import stand_in_for_waits

awaited = {}  # numbers of the threads that the interpreter waits for, by their identifiers
reported = {}  # numbers of those that have raised before it waits for them, likewise
deletes = {}  # by class: what takes a thread out of the active ones


def register_at_fork(call, function, args, kwargs):
    """`threading` calls it in its last line."""
    try:
        space, module = getframe(2).f_globals, modules.get("threading")
        if module is not None and module.__dict__ is space:
            cover_threading(space)
    except Exception:
        put(b"L\n")
    return call


def cover_threading(space):
    """Stand in for what registers callbacks, and put one of our own before them, which is called last."""
    function, shutdown, callbacks = space["_register_atexit"], space["_shutdown"], space["_threading_atexits"]
    stand_in_for_waits()
    names[function] = "_register_atexit"
    space["_register_atexit"] = stub_of(function, Method(Stub, function))
    callbacks.insert(0, Method(wait_for_threads, space))
    begins, ends = iter(Method(shutdown_begins, space), None), iter(Method(shutdown_ends, space), None)
    calls = map(next, iter(Method([entry_of(0, shutdown, (), {})].__getitem__, 0), None))
    space["_shutdown"] = stub_of(shutdown, map({}.get, map("".format, begins, calls, ends)).__next__)


def _register_atexit(call, function, args, kwargs):
    space = modules["threading"].__dict__
    if not args or space["_SHUTTING_DOWN"]:  # it will fail
        return call
    number = noted(b"threading", b"", (args[0], args[1:], kwargs), 4)
    if number is None:
        return call
    function(doing(number, args[0], args[1:], kwargs))
    return None


def shutdown_begins(space):
    """The exit begins, or (3.14 and later) the interpreter waits for threads once more."""
    try:
        exit_begins()()
        if space["_SHUTTING_DOWN"]:
            wait_for_threads(space)
        for _, inside in threads(space):
            watch_exceptions(inside)
    except Exception:
        put(b"L\n")
    return 0


def shutdown_ends(space):
    """Threads are over, also one that was just ending when it was noted; or the waiting was interrupted (3.13)."""
    for thread in [*awaited]:
        if thread not in space["_active"]:
            note_end(thread)
    return 0


def note_end(thread):
    number = awaited.pop(thread, None)
    if number is not None:
        put(b"E%x\t%x\n" % (monotonic_ns(), number))


def wait_for_threads(space):
    """The interpreter is about to wait for all threads that are no daemons."""
    try:
        kind = space["Thread"]
        if kind not in deletes:
            deletes[kind] = kind._delete
            kind._delete = delete
        note_awaited(space)
    except Exception:
        put(b"L\n")


def threads(space):
    """The threads that the interpreter waits for: all active ones but daemons, itself, and the main one."""
    found = []
    for thread in [*space["_active"].values()]:
        inside = object.__getattribute__(thread, "__dict__")
        if not inside["_daemonic"] and inside["_ident"] != get_ident() and thread is not space["_main_thread"]:
            found.append((thread, inside))
    return found


def note_awaited(space):
    """Write for which threads the interpreter waits from now on."""
    for thread, inside in threads(space):
        if inside["_ident"] not in awaited:
            note_thread(thread, inside)
            watch_exceptions(inside)


def note_thread(thread, inside):
    global live
    number = awaited[inside["_ident"]] = reported.pop(inside["_ident"], None) or next(numbers)
    module, file, line = home_of(thread, inside)
    site = site_of(name_of(inside), module, file, (file, line, module), "")
    put(b"K\tthread\t\t%x\t%x\t%x\n" % (number, monotonic_ns(), site))
    live += 1
    put(b"S%x\t0\t%x\n" % (monotonic_ns(), number))


def name_of(inside):
    return inside["_name"] if type(inside["_name"]) is str else ""


def home_of(thread, inside):
    """Module, file and line of what a thread runs."""
    target = inside.get("_target")
    if target is None:  # it has a `run` of its own, or has just ended
        target = next(dict_of(cls)["run"] for cls in mro_of(type(thread)) if "run" in dict_of(cls))
    _, module, file = described(target)
    while type(target) is Method:
        target = target.__func__
    return module, file, target.__code__.co_firstlineno if type(target) is Function else 0


def watch_exceptions(inside):
    """Note what a thread raises. What reports it belongs to the thread, and must not keep it alive."""
    invoke = inside.get("_invoke_excepthook")
    if invoke is None or type(invoke) is Witness:
        return

    def look():
        exception = sys.exc_info()[1]
        if type(exception) is not SystemExit:  # `threading` passes over it in silence
            number = awaited.get(get_ident())
            if number is None:  # what handles the exception next may last, and then the interpreter waits for that
                number = reported[get_ident()] = next(numbers)
            write_ignored(number, 1, (thread_name(), "", ""), exception)
        return invoke

    witness = inside["_invoke_excepthook"] = Witness()
    witness.look = look


def delete(thread):
    """Stands in for `Thread._delete`, the last that a thread does."""
    space = modules["threading"].__dict__
    deletes[space["Thread"]](thread)
    try:
        reported.pop(get_ident(), None)
        note_end(get_ident())
        note_awaited(space)
    except Exception:
        put(b"L\n")
