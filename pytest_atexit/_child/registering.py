"""A part of the agent: what stands in for `atexit.register` and for handlers, see docs/recording.md."""

from sitecustomize import (
    Builtin,
    Function,
    Method,
    Stub,
    add_audit_hook,
    attempt,
    audited,
    get_ident,
    getframe,
    has_room,
    interned,
    known,
    live,
    main_thread,
    moments,
    monotonic_ns,
    namespace,
    put,
    ref,
    set_init,
    stand_in,
    string_numbers,
    sys,
    target,
    unicode_escape_encode,
)

NAMELESS = b"R\t%x\t%x\t0\n"
LONGEST_NAME = 1000
real_clear = real_register = real_unregister = None  # the functions of `atexit`
shown = {}  # by thread: the handler that was shown last
labels = {}  # names of handlers by their numbers, where a test may want to hold one
numbers = iter(range(1, 1 << 62))  # of registrations; `next` is atomic


class Entry(list):
    """[kept, handler]: lists are compared item by item in C, so `unregister` finds what it would without us.

    `kept` dies last, and makes handler and arguments die in the order of a plain run. The interpreter calls an entry,
    see `making_runs`, and `next` calls what it finds in the slot: the handler, bound to its arguments.
    """

    __slots__ = ("__next__", "number")

    def __repr__(self):
        shown[get_ident()] = self.number  # from 3.13 on nothing else tells which handler has failed
        return repr(self[1])


def register(call, function, args, kwargs):
    """Write the line and register, in one call into C: no signal and no thread comes between."""
    global live
    if not args or not callable(args[0]):
        return call
    handler, args = args[0], args[1:]
    number = next(numbers)
    interruption = None
    try:
        line = registration(number, handler, args, kwargs, 3)
    except RecursionError:  # here it takes no further call
        line = NAMELESS % (number, monotonic_ns())
    except BaseException as error:
        from interrupting import in_spite_of

        line, interruption = in_spite_of(error, number, handler, args, kwargs)
    if type(handler) is Stub:  # is what our `__new__` returns
        from values import nothing

        set_init(handler, nothing)
    try:
        if has_room(len(line)):
            entry = entry_of(number, handler, args, kwargs)
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


def entry_of(number, handler, args, kwargs, kind=Entry):
    """What is registered: calling it writes the start, calls the handler and writes the end."""
    kept, go = (), handler
    if args or kwargs:
        from values import bound

        go = bound(handler, args, kwargs)
        kept = (handler, args) if sys.version_info >= (3, 14) else go
    entry = kind((kept, handler))
    entry.__next__, entry.number = go, number
    return entry


def registration(number, handler, args, kwargs, depth, *, maker=None):
    """The line, made without running code of the program. `maker` is code that registers on behalf of its caller."""
    file = thread = ""
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

        thread = thread_name()
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
    if moments:
        labels[number] = unicode_escape_encode(str.__getitem__(name, slice(LONGEST_NAME)))[0]
    site = site_of(name, module, file, place(frame), thread)
    if not args and not kwargs:
        return b"R\t%x\t%x\t%x\n" % (number, monotonic_ns(), site)
    from values import encoded

    return b"R\t%x\t%x\t%x\t%b\t%b\n" % (number, monotonic_ns(), site, encoded(args), encoded(kwargs))


def site_of(name, module, file, place, thread):
    """The number of what many registrations have in common, and what is written once. Only plain text is compared."""
    caller_file, line, caller = place
    site = None
    if type(name) is type(module) is type(file) is type(caller_file) is type(caller) is str:
        site = name, module, file, caller_file, line, caller, thread
        if site in known:
            return known[site]
    number = next(string_numbers)
    put(
        b"A\t%x\t%b\t%d\t%d\t%d\t%d\t%d\t%b\n"
        % (
            number,
            unicode_escape_encode(str.__getitem__(name, slice(LONGEST_NAME)))[0],
            (site and known.get(module)) or interned(module),
            (site and known.get(file)) or interned(file),
            (site and known.get(caller_file)) or interned(caller_file),
            line,
            (site and known.get(caller)) or interned(caller),
            unicode_escape_encode(thread)[0],
        )
    )
    if site:
        known[site] = number
    return number


def place(frame):
    """File, line and module of the code that called us; frames of the import system don't count."""
    try:
        while frame is not None:
            file = frame.f_code.co_filename
            if file[:18] != "<frozen importlib.":
                return file, frame.f_lineno or 0, dict.get(frame.f_globals, "__name__")
            frame = frame.f_back
    except Exception:  # an audit hook forbids to look
        if not audited:
            raise
    return "", 0, ""


# ---- exceptions that are ignored: an audit hook hears of them, and `sys.unraisablehook` stays the program's


def told(event, arguments, reference):
    if event == "sys.unraisablehook":
        function = reference()
        if function is not None:
            function("note_ignored", *arguments)


# `exit_begins()()` adds the hook the first time, and then does nothing. A hook costs all that is audited; and it lives
# longer than all else of ours, which it must not keep alive, for that costs the collector work.
told = Function(told.__code__, {"__builtins__": {}}, "told", (ref(attempt),))
exit_begins = Method(Method({0: Method(add_audit_hook, told)}.pop, 0), Method(len, ()))


# ---- the chain: what calls a handler and writes its start and end, all in C


when_raised = Method(attempt, "handler_raised")


def making_runs(raised):
    """What calls entries, to be found as `__call__` of their class: a property.

    It makes a Run of the entry, which puts that on top of `called`, and which the interpreter calls next: it draws from
    the chain, which takes the entry from there. Then the Run dies, and asks whether the chain came to its end. If not,
    it calls `raised` with `called`.
    """
    called, taken, lines, outcome, begins = [], [], [], {}, map(Method.__call__, iter(exit_begins, None))
    out, clock = iter(Method(target.__getitem__, 0), None), iter(monotonic_ns, None)
    is_uncaught = iter(Method(sys.__dict__.__contains__, "last_type"), None)  # set where an exception ended the program

    # Hexadecimal, for Python handles signals while it writes a number in decimal: that is for the next handler to do.
    take = map(taken.append, iter(called.pop, None))
    entry = iter(Method(taken.__getitem__, -1), None)
    number = map(Entry.__dict__["number"].__get__, entry)
    start = map(Builtin.__call__, out, map(b"S%x\t%x\t%x\n".__mod__, zip(clock, is_uncaught, number)))
    call = map(next, iter(taken.pop, None))
    if moments:
        from holding import checkpoint

        call = map({}.get, map("".format, checkpoint(number)), call)  # yields what the handler returns
    # Only the C stack of `map` holds the entry while the handler runs, so threads can run handlers at the same time.
    end = map("E{3:x}\t{0.number:x}\n".format, entry, start, call, clock)
    write = map(Builtin.__call__, out, iter(lines.pop, None))
    succeed = iter(Method(Method(outcome.setdefault, 0), Method(len, ())), None)
    chain = map("".format, begins, take, map(lines.append, map(str.encode, end)), write, succeed)
    ask = map(Method.__call__, iter(Method(Method(outcome.pop, 0), Method(raised, called)), None))
    methods = {"__init__": called.append, "__call__": chain.__next__, "__del__": ask.__next__}
    return property(type("Run", (), {"__slots__": (), **methods}))


def cover(module):
    """Put our functions into an `atexit` module."""
    global real_clear, real_register, real_unregister
    space = module.__dict__
    if type(space["register"]) is Stub:
        return
    if "__call__" not in Entry.__dict__:
        Entry.__call__ = making_runs(when_raised)
    real_register, real_unregister, real_clear = space["register"], space["unregister"], space["_clear"]
    for name in "register", "unregister", "_clear":
        stand_in(space, name)
    running = map({}.get, iter(entry_of(0, space["_run_exitfuncs"], (), {}), None))  # None for each ""
    stand_in(space, "_run_exitfuncs", running.__next__)
