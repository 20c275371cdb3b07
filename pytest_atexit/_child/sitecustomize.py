"""The agent: it runs in the child, at the interpreter's start, and records what happens at exit.

The interpreter imports it as `sitecustomize`, for its folder is first on PYTHONPATH. It uses the standard library's
C modules only, leaves no trace in `sys.modules` or `sys.path`, and hands over to a `sitecustomize` of the user's.
docs/journal.md describes what it writes, docs/environment.md what it reads, and docs/recording.md how handlers are
recorded without being seen.

Three rules hold for every line. It never runs code of the program that a plain run would not run: no `==`, no `repr`,
no attribute that isn't stored in C. It raises nothing into the program. And after its start it opens no file and
imports nothing, for by then the program may watch that (audit hooks), forbid it or have made it impossible (limits,
chroot); the one exception is a journal whose mapped part is full.
"""

import _imp
import os
import sys
from _codecs import unicode_escape_encode
from _thread import allocate_lock, get_ident
from _weakref import ref
from builtins import (  # early, for a program may delete them
    BaseException,
    Exception,
    ImportError,
    OSError,
    RecursionError,
    ValueError,
    __import__,
    any,
    bool,
    bytes,
    callable,
    compile,
    delattr,
    dict,
    exec,
    float,
    frozenset,
    getattr,
    globals,
    int,
    iter,
    len,
    list,
    map,
    max,
    min,
    next,
    object,
    property,
    range,
    repr,
    set,
    setattr,
    str,
    sum,
    tuple,
    type,
    zip,
)
from time import monotonic_ns

FORMAT = 1
PROCESS_BITS = 40  # of the journal's addresses for each pid …
PROGRAM_BITS = 32  # … and for each program in it: a process that execs begins another one
WINDOW = 1 << 24  # how much of the journal is mapped at a time, in bytes
RESERVE = 1 << 16  # what a forked child gets of its parent's window, in bytes
STAMPS = 4 * 48  # room for the stamps of a handler that runs twice, in bytes
SLACK = 1 << 15  # the longest line fits in twice
STACKS_SIGNAL = 58  # a real-time signal that nobody uses: on it all stacks are written to stderr
LONG = 1000  # characters of a string,
MANY = 100  # items of a container, or frames of a traceback, and
DEEP = 5  # levels of containers and of chained exceptions are recorded

Function, Method, Builtin, ModuleSpec = type(os.fsencode), type(os.environ.get), type(len), type(sys.__spec__)
SlotWrapper = type(object.__str__)
GetSet, Member = type(Function.__dict__["__code__"]), type(Function.__dict__["__globals__"])  # descriptors in C
get_arguments, get_traceback, get_cause, get_context, is_suppressed = (
    BaseException.__dict__[name].__get__
    for name in ("args", "__traceback__", "__cause__", "__context__", "__suppress_context__")
)
mro_of = type.__dict__["__mro__"].__get__
dict_of = type.__dict__["__dict__"].__get__
qualname_of = type.__dict__["__qualname__"].__get__
module_of = type.__dict__["__module__"].__get__
getframe, modules = sys._getframe, sys.modules
getpid, getppid = os.getpid, os.getppid
default_hook = sys.__unraisablehook__
create_builtin, exec_builtin = _imp.create_builtin, _imp.exec_builtin


# ---- the journal: lines of bytes in shared memory, see docs/journal.md

path = os.environ.get("PYTEST_ATEXIT_JOURNAL")
areas = []  # every mapping, the current one last; none may die before the interpreter's state, see `mapped`
target = [None]  # appends to the current mapping; looked up here by the chains below, so that it can be exchanged
limit = 0  # the end of what is ours in the current mapping
base = 0  # the journal's address of the current mapping
top = 0  # the first free address of this program; 0 as long as it has none of its own
live = 0  # handlers that may still be called, each of which needs room for its stamps
lost = False  # a line could not be written
growing = allocate_lock()
partial = None
main_thread = get_ident()
known = {}  # numbers of strings that lines refer to
numbers = iter(range(1, 1 << 62))  # of registrations; `next` is atomic
reserves = {}  # by thread: where the child that it is about to fork will write


def mapped(length):
    """Map `length` bytes at `top`, and keep no descriptor: a program may list, close or reuse them."""
    global top
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if not top:
            top = getpid() << PROCESS_BITS
            while os.pread(descriptor, 1, top) != b"\0":
                top += 1 << PROGRAM_BITS
        if sys.version_info >= (3, 13):
            area = mmap(descriptor, length, offset=top, trackfd=False)
        else:  # It keeps a duplicate, whose number it closes when it dies: by then nobody must use that number.
            expected = os.dup(descriptor)
            os.close(expected)
            area = mmap(descriptor, length, offset=top)
            ours, other = os.fstat(descriptor), os.fstat(expected)
            if (ours.st_dev, ours.st_ino) == (other.st_dev, other.st_ino):
                os.close(expected)
    finally:
        os.close(descriptor)
    areas.append(area)
    top += length
    return area


def grow():
    """Go on in a further part of the journal, if it can be mapped and nobody else is at it."""
    global base, limit
    if not growing.acquire(False):
        return
    try:
        length = max(WINDOW, 4 * STAMPS * live)
        area = mapped(length)
        area.write(b"M\t%d\n" % getpid())
        target[0](b"G\t%d\n" % (top - length))
        target[0], base, limit = area.write, top - length, length
    except (OSError, ValueError, ImportError):
        pass
    finally:
        growing.release()


def room():
    return limit - areas[-1].tell() - STAMPS * live


def has_room(size):
    """Whether a line can be written; if not, that is written."""
    global lost
    if room() < SLACK:
        grow()
    if not lost and room() > size + 64:
        return True
    if not lost and room() > 2:
        lost = True
        target[0](b"L\n")
    return False


def put(line):
    """Append a line. `write` is one call into C: no thread, signal or kill comes between."""
    if has_room(len(line)):
        target[0](line)


def escape(text):
    return unicode_escape_encode(text)[0]


def interned(text):
    """The number of a string that many lines refer to, or of "" if it isn't a string."""
    if type(text) is not str:
        text = ""
    number = known.get(text)
    if number is None:
        number = len(known)
        put(b"N\t%d\t%b\n" % (number, escape(text)))
        known[text] = number
    return number


def begin_process(kind, details=b""):
    put(b"P\t%d\t%d\t%b\t%d\t%d\t%b\n" % (FORMAT, monotonic_ns(), kind, getpid(), getppid(), details))


def caller():
    """The frame that called the function that asks, or None where there is none or an audit hook forbids to look."""
    try:
        return getframe(2)
    except Exception:
        return None


def before_fork():
    """Set a part of our window aside, in which the child can write without a system call."""
    global limit
    size = RESERVE + STAMPS * live
    if room() < size + SLACK:
        grow()
    address = 0
    if room() >= size + SLACK:
        limit -= size
        reserves[get_ident()] = limit, size
        address = base + limit
    frame = caller()
    put(b"F\t%d\t%d\t%d\n" % (monotonic_ns(), address, interned(frame and dict.get(frame.f_globals, "__name__"))))


def after_fork():
    """In the child: write where the parent has made room, as a process of its own."""
    global growing, limit, lost, main_thread, top
    growing, lost, main_thread, top = allocate_lock(), False, get_ident(), 0
    reserve = reserves.get(main_thread)
    reserves.clear()
    if reserve is None:
        target[0] = b"".count  # takes a line and does nothing with it
        return
    start, size = reserve
    areas[-1].seek(start)
    limit = start + size
    begin_process(b"fork")


# ---- values: what lines say of the program's objects

CONTAINERS = (tuple, b"t"), (list, b"l"), (dict, b"d"), (set, b"e"), (frozenset, b"z")


def type_name(cls):
    module = module_of(cls)
    return f"{module}.{qualname_of(cls)}" if type(module) is str else qualname_of(cls)


def text_token(kind, text, size, most=LONG):
    """A string, or its beginning behind its size."""
    return kind + escape(text) if size <= most else b"%b%d:%b" % (kind.upper(), size, escape(text[:most]))


def encode(value, tokens, most, depth=0):
    """Append what is plain data of exact built-in types as it is, anything else as the name of its type."""
    kind = type(value)
    if value is None:
        tokens.append(b"n")
    elif kind is bool:
        tokens.append(b"+" if value else b"-")
    elif kind is int and value.bit_length() <= 4 * most:
        tokens.append(b"i%x" % value)
    elif kind is float:
        tokens.append(b"f" + value.hex().encode())
    elif kind is str:
        tokens.append(text_token(b"s", value, len(value), most))
    elif kind is bytes:
        tokens.append(text_token(b"b", value[:most].decode("latin-1"), len(value), most))
    else:
        letter = next((letter for container, letter in CONTAINERS if kind is container), None)
        if letter is None or depth == DEEP or len(tokens) >= MANY:
            tokens.append(b"o" + escape(type_name(kind)))
            return
        items = list(value.items() if kind is dict else value)
        tokens.append(b"%b%d:%d" % (letter, min(len(items), MANY), len(items)))
        for item in items[:MANY]:
            for part in item if kind is dict else (item,):
                encode(part, tokens, most, depth + 1)


def encoded(value):
    """A value as tokens, within a quarter of the longest line."""
    for most in LONG, 20:
        tokens = []
        try:
            encode(value, tokens, most)
        except Exception:  # another thread changes it meanwhile
            break
        if sum(map(len, tokens)) < SLACK // 8:
            return b"\x1f".join(tokens)
    return b"o" + escape(type_name(type(value)))


def stored_in_c(value, name):
    """An attribute that a C descriptor of the type yields, if it is a string."""
    for cls in mro_of(type(value)):
        attribute = dict_of(cls).get(name)
        kind = type(attribute)
        if kind is GetSet or kind is Member:
            found = attribute.__get__(value)
            return found if type(found) is str else None
    return None


def home_of(function):
    """The file of a function, unless an audit hook forbids to look."""
    try:
        return function.__code__.co_filename
    except Exception:
        return ""


def describe(handler):
    """Name, module and file of a handler, without asking the handler itself."""
    kind = type(handler)
    if kind is Stub:
        return describe(function_of(handler))
    if kind is Function:
        return handler.__qualname__, handler.__module__, home_of(handler)
    if kind is Method:
        return describe(handler.__func__)
    if kind is Builtin:
        return handler.__qualname__, handler.__module__, ""
    if any(cls is type for cls in mro_of(kind)):  # `in` would ask a metaclass for `==`
        return qualname_of(handler), module_of(handler), ""
    name, module = type_name(kind), module_of(kind)
    if name == "functools.partial":
        inner, module, file = describe(handler.func)
        return f"partial({inner})", module, file
    if name == "functools._lru_cache_wrapper":
        return describe(handler.__wrapped__)
    return stored_in_c(handler, "__qualname__") or qualname_of(kind), stored_in_c(handler, "__module__") or module, ""


def message(exception):
    """`str(exception)` as far as that runs no code of the program."""
    for cls in mro_of(type(exception)):
        if "__str__" in dict_of(cls):
            break
    arguments = get_arguments(exception)
    tokens = encoded(arguments).split(b"\x1f")
    if type(dict_of(cls)["__str__"]) is SlotWrapper and not any(token[:1] == b"o" for token in tokens):
        return str(exception)
    return ", ".join(part if type(part) is str else f"<{type_name(type(part))}>" for part in arguments)


def traced(step):
    """The frames of a traceback; of a very deep one, both ends."""
    frames = []
    try:
        while step is not None:
            code = step.tb_frame.f_code
            frames.append(b"%d\x1d%d\x1d%d" % (interned(code.co_filename), step.tb_lineno or 0, interned(code.co_name)))
            step = step.tb_next
    except Exception:  # an audit hook forbids to look
        pass
    return b"\x1f".join(frames if len(frames) <= MANY else frames[: MANY // 2] + frames[-MANY // 2 :])


def raised(exception, link=b"", depth=0):
    """An exception and what it came from: type, bases, message and frames of each."""
    cls = type(exception)
    bases = b"\x1f".join([escape(type_name(base)) for base in mro_of(cls)[1:-1]])
    text = message(exception)
    fields = link, escape(type_name(cls)), bases, text_token(b"s", text, len(text)), traced(get_traceback(exception))
    told = [b"\x1e".join(fields)]
    cause, context = get_cause(exception), get_context(exception)
    if depth < DEEP and cause is not None:
        told += raised(cause, b"cause", depth + 1)
    elif depth < DEEP and context is not None and not is_suppressed(exception):
        told += raised(context, b"context", depth + 1)
    return told


# ---- recording: what stands in for C functions and for handlers, see docs/recording.md


def built_in(name):
    """A built-in module of our own, neither in `sys.modules` nor seen by an audit hook."""
    module = create_builtin(ModuleSpec(name, None))
    exec_builtin(module)
    return module


def where(frame):
    """File, line and module of the code that called us; frames of the import system don't count."""
    try:
        while frame is not None and frame.f_code.co_filename[:18] == "<frozen importlib.":
            frame = frame.f_back
        if frame is not None:
            module = interned(dict.get(frame.f_globals, "__name__"))
            return interned(frame.f_code.co_filename), frame.f_lineno or 0, module
    except Exception:  # an audit hook forbids to look
        pass
    return interned(""), 0, interned("")


def thread_name():
    """Empty for the main thread, else the name that `threading` knows it by."""
    ident = get_ident()
    if ident == main_thread:
        return ""
    threading = modules.get("threading")
    thread = threading.__dict__["_active"].get(ident) if threading is not None else None
    name = object.__getattribute__(thread, "__dict__").get("_name") if thread is not None else None
    return name if type(name) is str else f"thread {ident}"


def last_call(frame, name, args):
    """Note the call of a function that doesn't return when it succeeds."""
    try:
        put(
            b"X\t%d\t%b\t%d\t%d\t%d\t%b\t%b\n"
            % (monotonic_ns(), escape(name), *where(frame), escape(thread_name()), encoded(args))
        )
    except Exception:
        pass


def registration(number, frame, handler, args, kwargs):
    name, module, home = describe(handler)
    return b"R\t%d\t%d\t%b\t%d\t%d\t%d\t%d\t%d\t%b\t%b\t%b\n" % (
        number,
        monotonic_ns(),
        escape(name[:LONG]),
        interned(module),
        interned(home),
        *where(frame),
        escape(thread_name()),
        encoded(args) if args else b"t0:0",
        encoded(kwargs) if kwargs else b"d0:0",
    )


def register(frame, handler, args, kwargs):
    """Write the line and register, in one call into C: no signal and no thread comes between."""
    global live
    number = next(numbers)
    try:
        line = registration(number, frame, handler, args, kwargs)
    except Exception:
        line = b"R\t%d\t%d\t?\t0\t0\t0\t0\t0\t\tt0:0\td0:0\n" % (number, monotonic_ns())
    if not has_room(len(line)):
        real_register(handler, *args, **kwargs)
        return
    entry = Entry((chain(number, handler, args, kwargs), handler))
    entry.go, entry.number = entry[0].__next__, number
    live += 1
    next(zip(map(target[0], (line,)), map(real_register, (entry,))))


def make_partial():
    """The type of partials: one of our own, not the program's."""
    global partial
    if partial is None:
        partial = built_in("_functools").partial
    return partial


def chain(number, handler, args, kwargs):
    """An iterator: drawing an item writes the start, calls the handler and writes the end, all in C."""
    if kwargs:  # starmap has none; and a partial of a partial would take its insides out
        if any(type_name(cls) == "functools.partial" for cls in mro_of(type(handler))):
            owner = next(dict_of(cls) for cls in mro_of(type(handler)) if "__call__" in dict_of(cls))
            handler = Method(owner["__call__"], handler)
        call = starmap(make_partial()(handler, *args, **kwargs), nothing)
    else:
        call = starmap(handler, repeat(args) if args else nothing)
    stamp = map(Builtin.__call__, out, repeat(b"%d\n" % number))
    return map("".format, watch, hold, begin, stamp, call, end, stamp, release)


def failed(reference):
    """The lock that a chain held is gone before the chain released it: the handler raised, and is reported next."""
    global installed, program_hook
    while held and held.pop() is not reference:
        pass
    hook = sys.__dict__.get("unraisablehook", failed)
    if type(hook) is not Stub or go_of(hook) is not Report:
        program_hook = hook
        # Kept in a global, for the interpreter only borrows it while it calls it.
        installed = sys.unraisablehook = Stub(default_hook if hook is failed or hook is None else hook, Report)


def note_failure(unraisable):
    """Note what a handler raised; returns the program's hook and what it would have got without us."""
    hook, handler = program_hook, unraisable.object
    if hook is failed:
        del sys.unraisablehook
    else:
        sys.unraisablehook = hook
    try:
        put(b"T\t%d\t%b\n" % (monotonic_ns(), b"\t".join(raised(unraisable.exc_value))))
    except Exception:
        put(b"T\t%d\t\x1e?\x1e\x1es\x1e\n" % monotonic_ns())
    if type(handler) is Entry:
        unraisable = type(unraisable)((*unraisable[:4], handler[1]))
    return default_hook if hook is failed or hook is None else hook, unraisable


def registered():
    """Numbers of the handlers that are registered now, in the order in which `unregister` would ask them."""
    entries = []
    census = Census()
    census.note = entries.append
    real_unregister(census)
    return [entry.number for entry in entries if type(entry) is Entry]


def removed(kind, before):
    """Note which handlers are gone."""
    global live
    left = {*registered()}
    gone = [number for number in before if number not in left]
    live -= len(gone)
    for i in range(0, len(gone), MANY):
        put(b"%b\t%d\t%b\n" % (kind, monotonic_ns(), b",".join([b"%d" % number for number in gone[i : i + MANY]])))


def define_calls():
    """Make the types of stand-ins for C functions, and put them in front of what ends the process."""
    global Call, Last, Stub, function_of, go_of

    class Stub:
        # Looks like the function; what it does instead is found and called in C: no frame, no binding.
        __slots__ = ("__weakref__", "function", "go")
        __doc__ = property(lambda self: function_of(self).__doc__)

        def __init__(self, function, go):
            set_function(self, function)
            set_go(self, go)

        def __getattribute__(self, name):
            return go_of(self) if name == "__call__" else getattr(function_of(self), name)

        def __setattr__(self, name, value):
            setattr(function_of(self), name, value)

        def __delattr__(self, name):
            delattr(function_of(self), name)

        def __repr__(self):
            return repr(function_of(self))

    set_function, function_of = Stub.__dict__["function"].__set__, Stub.__dict__["function"].__get__
    set_go, go_of = Stub.__dict__["go"].__set__, Stub.__dict__["go"].__get__
    Stub.__call__ = Stub.__dict__["go"]
    Stub.__name__, Stub.__qualname__, Stub.__module__ = Builtin.__name__, Builtin.__qualname__, Builtin.__module__

    class Call:
        """A call that leaves no frame of ours in a traceback.

        `__new__` does the work and returns its result; or else a Call, whose `__init__` the interpreter calls next with
        the same arguments: that is `finish`, which raises in C.
        """

        __slots__ = ("finish",)

    Call.__init__ = Call.__dict__["finish"]

    class Last(Call):
        """A function that doesn't return when it succeeds, such as `os._exit`: it is noted, then called."""

        __slots__ = ()

        def __new__(cls, function, /, *args, **kwargs):
            last_call(caller(), function.__name__, args)
            try:
                function(*args, **kwargs)
            except Exception:  # it will fail again, in C
                put(b"V\n")
            self = object.__new__(cls)
            self.finish = Builtin.__call__
            return self

    for name in ("_exit", "execv", "execve"):
        function = getattr(os, name)
        stub = Stub(function, Method(Last, function))
        setattr(os, name, stub)
        setattr(modules[function.__module__], name, stub)


def define_registering():
    """Make what stands in for `register` and `unregister`, once the program imports `atexit`: many never do."""
    global Clear, Register, Unregister

    class Clear(Call):
        __slots__ = ()

        def __new__(cls, /, *args, **kwargs):
            if args or kwargs:
                self = object.__new__(cls)
                self.finish = real_clear
                return self
            before = registered()
            real_clear()
            removed(b"C", before)
            return None

    class Register(Call):
        __slots__ = ()

        def __new__(cls, /, *args, **kwargs):
            if args and callable(args[0]):
                try:
                    register(caller(), args[0], args[1:], kwargs)
                    return args[0]
                except RecursionError:  # the real one needs less of the stack
                    put(b"L\n")
            self = object.__new__(cls)
            self.finish = real_register
            return self

    class Unregister(Call):
        __slots__ = ()

        def __new__(cls, /, *args, **kwargs):
            self = object.__new__(cls)
            self.finish = real_unregister
            if len(args) != 1 or kwargs:
                return self
            before = registered()
            try:
                real_unregister(Probe((any_chain, args[0])))
            except BaseException as error:  # of somebody's `__eq__`; what was equal before that is gone
                spent = (item for item in ())
                list(spent)  # a generator that is over raises what is thrown at it without a frame of its own
                self.finish = Method(next, map(spent.throw, (error.with_traceback(error.__traceback__.tb_next),)))
                return self
            finally:
                removed(b"U", before)
            return None


def define_entries():
    """Make what is registered instead of a handler."""
    global Any, Census, Entry, Probe, Report, any_chain

    class Entry(list):
        """[chain, handler]: lists are compared item by item in C, so `unregister` finds what it would without us."""

        __slots__ = ("go", "number")

        def __repr__(self):
            return repr(self[1])

    Entry.__call__ = Entry.__dict__["go"]

    class Report(Call):
        """Stands in for the program's `sys.unraisablehook`, once: notes the exception, then calls that one in C."""

        __slots__ = ()

        def __new__(cls, unraisable):
            hook, unraisable = note_failure(unraisable)
            self = object.__new__(cls)
            called = map("".format, map(hook, (unraisable,)))  # always "", which {}.get makes None
            self.finish = Method(next, map({}.get, called))
            return self

    class Probe(list):
        """[any_chain, handler]: what the real `unregister` compares with each Entry."""

        __slots__ = ()

        if unrecorded:  # handlers that were registered before us are no entries

            def __eq__(self, other):
                return list.__eq__(self, other) if type(other) is Entry else other is self[1] or other == self[1]

    class Any:
        __slots__ = ()
        __eq__ = type  # equal to all: what it returns, in C, is always true

    any_chain = Any()

    class Census(Entry):
        """Equal to nothing: the real `unregister` shows it each Entry that is registered, and does nothing else."""

        __slots__ = ("note",)

    Census.__eq__ = Census.__dict__["note"]


def define_chains():
    """Make the iterators that all chains share.

    A chain draws one item from each of its iterators, in C: they write the start, call the handler and write the end.
    If the handler raises, what was drawn is dropped: among it a lock that nothing else holds. A weak reference to it,
    which `release` would have taken off, tells `failed`.
    """
    global begin, end, held, hold, nothing, out, release, repeat, starmap, watch
    itertools = built_in("itertools")
    repeat, starmap = itertools.repeat, itertools.starmap
    fresh, held, first, nothing = [], [], repeat(0), repeat(())
    out, clock = map(target.__getitem__, first), iter(monotonic_ns, None)
    added = map({}.get, map(fresh.append, iter(allocate_lock, None)), first)  # always 0, where the new lock is
    watch = map(held.append, map(ref, map(fresh.__getitem__, added), repeat(failed)))
    hold = iter(fresh.pop, None)
    is_uncaught = map(sys.__dict__.__contains__, repeat("last_type"))  # set where an exception ended the program
    # Hexadecimal, for Python handles signals while it writes a number in decimal: that is for the next handler to do.
    begin = map(Builtin.__call__, out, map(b"S%x\t%x\t".__mod__, zip(clock, is_uncaught)))
    end = map(Builtin.__call__, out, map(b"E%x\t".__mod__, clock))
    release = map(callable, iter(held.pop, None))  # `callable`, lest the reference outlives the lock


def cover(module):
    """Put our functions into an `atexit` module."""
    global real_clear, real_register, real_unregister, unrecorded
    real_register, real_unregister, real_clear = module.register, module.unregister, module._clear
    if "Entry" not in globals():
        unrecorded = module._ncallbacks()
        define_registering()
        define_entries()
        define_chains()
    stamp = map(Builtin.__call__, out, repeat(b"0\n"))
    run = map({}.get, map("".format, begin, stamp, starmap(module._run_exitfuncs, nothing), end, stamp)).__next__
    for name, go in ("register", Register), ("unregister", Unregister), ("_clear", Clear), ("_run_exitfuncs", run):
        setattr(module, name, Stub(getattr(module, name), go))


def create(spec):
    """Stands in for `_imp.create_builtin`, by which `atexit` is made, each time that it isn't in `sys.modules`."""
    module = create_builtin(spec)
    if spec.name == "atexit":
        try:
            cover(module)
        except Exception:
            put(b"L\n")
    return module


# ---- the start


def apply_ending(ending):
    """Run `ending` when the main module's last statement has been run, unless it raises."""
    namespace, finished = modules["__main__"].__dict__, compile("", "", "exec").co_code[-2]
    main = None

    def watch_main(frame, event, argument):
        nonlocal main
        if main is None and event == "call" and frame.f_globals is namespace and frame.f_code.co_name == "<module>":
            main = frame  # the first one; later ones are of code that it executes
        elif main is frame and event == "return":
            main = ()
            sys.setprofile(None)
            if frame.f_code.co_code[frame.f_lasti] == finished:
                exec(compile(ending, "<ending>", "exec"), {})

    sys.setprofile(watch_main)


def take(name):
    value = os.environ.get(name)
    if value is not None:
        del os.environ[name]
    return value


def interpreter_number(other):
    """0 for the main interpreter. Only where the pid has begun a program before can it be another one."""
    if not other:
        return 0
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            number = __import__(name).get_current()
        except ImportError:
            continue
        modules.pop(name, None)
        return int(number[0] if type(number) is tuple else number)
    return 0


def start():
    global base, limit, mmap, unrecorded
    from mmap import mmap

    del modules["mmap"]
    area = mapped(WINDOW)
    target[0], base, limit = area.write, top - WINDOW, WINDOW
    interpreter = interpreter_number(base >> PROGRAM_BITS & 0xFF)
    unrecorded = modules["atexit"]._ncallbacks() if "atexit" in modules else 0
    version = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
    texts = [escape(text) for text in (version, sys.executable or "", os.path.dirname(os.__file__), *sys.orig_argv)]
    begin_process(b"start", b"%d\t%d\t%b" % (interpreter, unrecorded, b"\x1f".join(texts)))
    interned("")  # number 0
    if not interpreter:
        built_in("faulthandler").register(STACKS_SIGNAL, file=2, all_threads=True)
    os.register_at_fork(before=before_fork, after_in_child=after_fork)
    define_calls()
    _imp.create_builtin = create
    if "atexit" in modules:
        cover(modules["atexit"])
    paths, ending = take("PYTEST_ATEXIT_PATH"), take("PYTEST_ATEXIT_ENDING")
    if paths:
        sys.path += [entry for entry in paths.split("\x1f") if entry not in sys.path]
    if ending:
        apply_ending(ending)


if path:
    try:
        start()
    except Exception:  # no journal, no record: the parent says so
        pass

# Hand over. These are the last lines: see the chapter on start-up in docs/recording.md.
if __file__.rpartition(os.sep)[0] in sys.path:
    sys.path.remove(__file__.rpartition(os.sep)[0])
sys.path_importer_cache.pop(__file__.rpartition(os.sep)[0], None)
del sys.modules["sitecustomize"]
import sitecustomize  # noqa: F401
