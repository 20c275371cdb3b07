"""A part of the agent: what stands in for `atexit.register` and for handlers, see docs/recording.md."""

from calling import always, calls
from sitecustomize import (
    Builtin,
    Function,
    Method,
    Stub,
    add_audit_hook,
    allocate_lock,
    audited,
    get_ident,
    getframe,
    has_room,
    interned,
    live,
    load,
    main_thread,
    moments,
    monotonic_ns,
    namespace,
    put,
    ref,
    set_init,
    stand_in,
    stub_of,
    sys,
    target,
    unicode_escape_encode,
)

NAMELESS = b"R\t%d\t%d\t?\t0\t0\t0\t0\t0\t\tt0:0\td0:0\n"
LONGEST_NAME = 1000
FEW = 10  # handlers, from which on it pays to load what calls many
real_clear = real_register = real_unregister = None  # the functions of `atexit`
between = ()  # what is drawn between the start of a handler and its call
labels = {}  # names of handlers by their numbers, where a test may want to hold one
numbers = iter(range(1, 1 << 62))  # of registrations; `next` is atomic


class Entry(list):
    """[kept, chain, handler]: lists are compared item by item in C, so `unregister` finds what it would without us.

    `kept` dies last, and makes handler and arguments die in the order of a plain run.
    """

    __slots__ = ("go", "number")

    def __repr__(self):
        return repr(self[2])


Entry.__call__ = Entry.__dict__["go"]


def register(call, function, args, kwargs):
    """Write the line and register, in one call into C: no signal and no thread comes between."""
    global live
    if not args or not callable(args[0]):
        return call
    handler, args = args[0], args[1:]
    number = next(numbers)
    if number == FEW:
        load("calling_many")
    interruption = None
    try:
        line = registration(number, handler, args, kwargs, 3)
    except RecursionError:  # here it takes no further call
        line = NAMELESS % (number, monotonic_ns())
    except BaseException as error:
        from interrupting import in_spite_of

        line, interruption = in_spite_of(error, number, handler, args, kwargs)
    if type(handler) is Stub:  # is what our `__new__` returns
        set_init(handler, lambda *args, **kwargs: None)
    try:
        if has_room(len(line)):
            kept = (handler, args) if sys.version_info >= (3, 14) else () if kwargs else args
            entry = Entry((kept, chain(number, handler, args, kwargs), handler))
            entry.go, entry.number = entry[1].__next__, number
            live += 1
            write = target[0]
            next(zip(map(write, (line,)), map(real_register, (entry,))))
            if write is not target[0]:  # a thread has gone on in a further part of the journal: say it there, too
                put(line)
            return handler if interruption is None else namespace["raising"](call, interruption)
    except (RecursionError, MemoryError):  # the real one needs less of the stack
        put(b"L\n")
    real_register(handler, *args, **kwargs)
    return handler if interruption is None else namespace["raising"](call, interruption)


def registration(number, handler, args, kwargs, depth, *, maker=None):
    """The line, made without running code of the program. `maker` is code that registers on behalf of its caller."""
    file, thread, arguments, keywords = "", b"", b"t0:0", b"d0:0"
    if type(handler) is Function:
        name, module = handler.__qualname__, handler.__module__
        try:
            file = handler.__code__.co_filename
        except Exception:  # an audit hook forbids to look
            if not audited:
                raise
    else:
        from values import described

        name, module, file = described(handler)
    if get_ident() != main_thread:
        from values import thread_name

        thread = unicode_escape_encode(thread_name())[0]
    if args or kwargs:
        from values import encoded

        arguments, keywords = encoded(args) if args else arguments, encoded(kwargs) if kwargs else keywords
    try:
        frame = getframe(depth)
        if maker is not None and frame.f_code is maker:
            frame = frame.f_back
    except ValueError:  # there is none
        frame = None
    except Exception:  # an audit hook forbids to look
        if not audited:
            raise
        frame = None
    name = unicode_escape_encode(name[:LONGEST_NAME])[0]
    if moments:
        labels[number] = name
    return b"R\t%d\t%d\t%b\t%d\t%d\t%d\t%d\t%d\t%b\t%b\t%b\n" % (
        number,
        monotonic_ns(),
        name,
        interned(module),
        interned(file),
        *where(frame),
        thread,
        arguments,
        keywords,
    )


def where(frame):
    """File, line and module of the code that called us; frames of the import system don't count."""
    try:
        while frame is not None and frame.f_code.co_filename[:18] == "<frozen importlib.":
            frame = frame.f_back
        if frame is not None:
            module = interned(dict.get(frame.f_globals, "__name__"))
            return interned(frame.f_code.co_filename), frame.f_lineno or 0, module
    except Exception:  # an audit hook forbids to look
        if not audited:
            raise
    return interned(""), 0, interned("")


# ---- exceptions that are ignored: an audit hook hears of them, and `sys.unraisablehook` stays the program's


def ignored(hook, unraisable):
    try:
        from ignoring import note_ignored

        note_ignored(hook, unraisable)
    except Exception:
        put(b"L\n")


def told(event, arguments, reference):
    if event == "sys.unraisablehook":
        function = reference()
        if function is not None:
            function(*arguments)


# `exit_begins()()` adds the hook the first time, and then does nothing. A hook costs all that is audited; and it lives
# longer than all else of ours, which it must not keep alive, for that costs the collector work.
told = Function(told.__code__, {"__builtins__": {}}, "told", (ref(ignored),))
exit_begins = Method(Method({0: Method(add_audit_hook, told)}.pop, 0), Method(len, ()))


# ---- chains: what calls a handler and writes its start and end, all in C


def chain(number, handler, args, kwargs, ends=None):
    """An iterator: drawing an item writes the start, calls the handler and writes the end.

    `ends` are what `noticing` returns, for what does otherwise with exceptions than handlers of `atexit`.
    """
    before, after = ends or usual_ends
    if kwargs:  # only positional arguments can be drawn
        from values import with_keywords

        handler, args = with_keywords(handler, args, kwargs), ()
    stamp = map(Builtin.__call__, out, always(b"%d\n" % number))
    return map("".format, *before, begin, stamp, *between, calls(handler, args), end, stamp, *after)


def make_chains():
    """Make the iterators that all chains share."""
    global begin, between, end, out, usual_ends
    out, clock = iter(Method(target.__getitem__, 0), None), iter(monotonic_ns, None)
    is_uncaught = iter(Method(sys.__dict__.__contains__, "last_type"), None)  # set where an exception ended the program
    # Hexadecimal, for Python handles signals while it writes a number in decimal: that is for the next handler to do.
    begin = map(Builtin.__call__, out, map(b"S%x\t%x\t".__mod__, zip(clock, is_uncaught)))
    end = map(Builtin.__call__, out, map(b"E%x\t".__mod__, clock))
    usual_ends = noticing(report_next)
    if moments:
        from holding import checkpoint

        between = (checkpoint(),)


def report_next():
    """A handler has raised, and the interpreter reports that next."""
    from failing import arm

    arm()


def noticing(raised):
    """What comes first and last in a chain, so that `raised` is called when what is between them raises.

    First a lock is made that only the chain holds. If the handler raises, the chain drops what it has drawn: the lock
    dies, and a weak reference to it tells us. If it returns, that reference is dropped first.
    """
    fresh, held = [], []

    def failed(reference):
        try:
            while held and held.pop() is not reference:
                pass
            raised()
        except Exception:
            put(b"L\n")

    callback, begins = iter(Method([failed].__getitem__, 0), None), map(Method.__call__, iter(exit_begins, None))
    first = map({}.get, begins, iter((0).__index__, None))  # always 0
    added = map({}.get, map(fresh.append, iter(allocate_lock, None)), first)  # always 0, where the new lock is
    watch = map(held.append, map(ref, map(fresh.__getitem__, added), callback))
    return (watch, iter(fresh.pop, None)), (map(callable, iter(held.pop, None)),)  # it mustn't outlive the lock


def cover(module):
    """Put our functions into an `atexit` module."""
    global real_clear, real_register, real_unregister
    if type(module.register) is Stub:
        return
    if real_register is None:
        make_chains()
    real_register, real_unregister, real_clear = module.register, module.unregister, module._clear
    for name in "register", "unregister", "_clear":
        stand_in(module, name)
    run, stamp = module._run_exitfuncs, map(Builtin.__call__, out, always(b"0\n"))
    running = map({}.get, map("".format, begin, stamp, calls(run, ()), end, stamp))  # None for each ""
    module._run_exitfuncs = stub_of(run, running.__next__)
