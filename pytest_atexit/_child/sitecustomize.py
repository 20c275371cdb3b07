"""The agent: it runs in the child, at the interpreter's start, and records what happens at exit.

The interpreter imports it as `sitecustomize`, for its folder is first on PYTHONPATH. It uses the standard library's
C modules only, leaves no trace in `sys.modules` or `sys.path`, and hands over to a `sitecustomize` of the user's.
docs/journal.md describes what it writes, docs/environment.md what it reads, and docs/recording.md how handlers are
recorded without being seen.

This file is what every child needs, and the others in this folder are its parts, which run when they are needed: what
a program doesn't use costs it nothing. All of them share one namespace, so to import a name from a part is to have it
loaded, and imports of this file by a part are there for the reader.

Three rules hold for every line. It never runs code of the program that a plain run would not run: no `==`, no `repr`,
no attribute that isn't stored in C. It raises nothing into the program. And after its start it opens no file and
imports nothing, for by then the program may watch that (audit hooks), forbid it or have made it impossible (limits,
chroot); the one exception is a journal whose mapped part is full.
"""

import os

sys = os.sys
getframe, modules, add_audit_hook = sys._getframe, sys.modules, sys.addaudithook
# They are there at each start: to look them up costs a tenth of an import.
ref, loads = modules["_weakref"].ref, modules["marshal"].loads
monotonic_ns, unicode_escape_encode = modules["time"].monotonic_ns, modules["_codecs"].unicode_escape_encode
_imp, _thread = modules["_imp"], modules["_thread"]
RLock, allocate_lock = _thread.RLock, _thread.allocate_lock
get_ident, get_native_id = _thread.get_ident, _thread.get_native_id

# What is defined from here on looks built-in names up in a copy, for a program may delete or replace them.
__builtins__ = modules["builtins"].__dict__.copy()

CODES = ""  # the file in which the parts lie ready as bytecode, see pytest_atexit/_launch/_bytecode.py
FORMAT = 1
PROCESS_BITS = 40  # of the journal's addresses for each pid …
PROGRAM_BITS = 32  # … and for each program in it: a process that execs begins another one
WINDOW = 1 << 24  # how much of the journal is mapped at a time, in bytes
RESERVE = 1 << 16  # what a forked child gets of its parent's window, in bytes
STAMPS = 4 * 48  # room for the stamps of a handler that runs twice, in bytes
SLACK = 1 << 15  # the longest line fits in twice
MARK = 0x50505050  # a position at which nobody else's files are
STACKS_SIGNAL = 58  # a real-time signal that nobody uses: on it all stacks are written to stderr

Method, Builtin, Spec = type(os.environ.get), type(len), type(sys.implementation)
create_builtin, exec_builtin = _imp.create_builtin, _imp.exec_builtin
posix = ref(modules["posix"])  # nothing of it is held: a module that lives at the end costs its clearing


# ---- the journal: lines of bytes in shared memory, see docs/journal.md

environ = os.environ._data  # which can be asked for what isn't there without an exception
path = environ.get(b"PYTEST_ATEXIT_JOURNAL", b"").decode()
moments = False  # whether a test may hold handlers
codes = b""  # what is in CODES: mapped, for most programs need nothing of it
areas = []  # every mapping; none may die before the interpreter's state, see `mapped`
target = [None]  # appends to the current mapping; looked up here by the chains, so that it can be exchanged
window = None  # the current mapping, its address in the journal, and the end of what is ours in it
top = 0  # the first free address of this program; 0 as long as it has none of its own
live = 0  # handlers that may still be called, each of which needs room for its stamps
lost = False  # a line could not be written
audited = False  # an audit hook of the program's may raise anything wherever we look at something
main_thread = get_ident()
known = {"": 0}  # numbers of strings that lines refer to
string_numbers = iter(range(1, 1 << 62))  # drawn by one call into C, so no thread gets the same


def mapped(length, offset=None, file=None):
    """Map `length` bytes of the journal or a file, by default at `top`.

    No descriptor is kept: a program may list, close or reuse them.
    """
    global top
    os = posix()
    descriptor = os.open(file or path, (os.O_RDONLY if file else os.O_RDWR) | os.O_CLOEXEC)
    access = 1 if file else 0  # ACCESS_READ, or as usual
    try:
        if not top and offset is None:
            top = os.getpid() << PROCESS_BITS
            while os.pread(descriptor, 1, top) != b"\0":
                top += 1 << PROGRAM_BITS
        place = top if offset is None else offset
        if sys.version_info >= (3, 13):
            area = mmap(descriptor, length, access=access, offset=place, trackfd=False)
        else:  # It keeps a duplicate, whose number it closes when it dies: by then nobody must use that number.
            expected = os.dup(descriptor)
            os.close(expected)
            area = mmap(descriptor, length, access=access, offset=place)
            os.lseek(descriptor, MARK, 0)  # Duplicates share it; and a thread may have taken that number.
            try:
                if os.lseek(expected, 0, 1) == MARK:
                    os.close(expected)
            except OSError:
                pass
    finally:
        os.close(descriptor)
    areas.append(area)
    if offset is None:
        top += length
    return area


def has_room(size):
    """Whether a line can be written, and the stamps of a further handler; if not, that is written."""
    global lost
    area, _, end = window
    room = end - area.tell() - STAMPS * live
    if room < SLACK:
        from extending import grown_room

        room = grown_room(SLACK)
    if not lost and room > size + STAMPS + 64:
        return True
    if not lost and room > 2:
        lost = True
        target[0](b"L\n")
    return False


def put(line):
    """Append a line. `write` is one call into C: no thread, signal or kill comes between."""
    if has_room(len(line)):
        target[0](line)


def interned(text):
    """The number of a string that many lines refer to, or of "" if it isn't a string."""
    if type(text) is not str:
        text = ""
    number = known.get(text)
    if number is None:
        number = next(string_numbers)
        put(b"N\t%d\t%b\n" % (number, unicode_escape_encode(text)[0]))
        known[text] = number
        if text in {"weakref", "multiprocessing.util"}:  # it registers its first handler
            from finalizing import cover_finalizers

            cover_finalizers()
    return number


# ---- the parts


def load(part):
    """Run a part of the agent, unless it has been run."""
    global parts
    if parts is None:
        parts = works.setdefault(None, loads(codes[:]))  # of several threads all get that of the first
    if part in parts:
        defined = {}
        exec(loads(parts[part]), namespace, defined)
        if part in parts:  # Not if a thread or a signal handler was faster. Neither comes between these three lines, …
            namespace.update(defined)
            parts.pop(part, None)  # … and before this one nobody uses what is defined.


parts = None  # their code, by their names, as far as they haven't been run; None until one is needed
works = {}  # what does the work of functions, as soon as that has been needed
Function, namespace = type(load), globals()


# ---- what stands in for C functions


def of_function(name, stub):
    """What a class yields for an attribute of its instance: that of the function."""
    return getattr(function_of(stub), name)


class Stub:
    # Looks like the function that it stands for. What the interpreter looks up in the class it finds in the slots, and
    # calls in C: no frame, no binding.
    #
    # Its `__call__` is to call this class with the function and the arguments. `__new__` has the work done and returns
    # its result; or else another instance, whose `__init__` the interpreter calls next with the same arguments: that
    # returns None or raises, in C, and so leaves no frame of ours in a traceback.
    __slots__ = ("__call__", "__init__", "__weakref__", "function")
    __qualname__, __module__ = Builtin.__qualname__, Builtin.__module__
    __doc__, __repr__ = property(Method(of_function, "__doc__")), property(Method(of_function, "__repr__"))
    __setattr__ = property(Method(of_function, "__setattr__"))
    __delattr__ = property(Method(of_function, "__delattr__"))

    def __new__(cls, function, /, *args, **kwargs):
        call = object.__new__(cls)
        set_init(call, type(function).__call__)  # by default the function itself is called
        work = works.get(function)
        if work is None:
            name = names[function]
            try:
                if name not in namespace:
                    from homes import HOMES

                    load(HOMES[name])
            except RecursionError:  # as if the function itself had needed these levels
                raise
            except Exception:  # no memory, or an audit hook in C forbids it
                put(b"L\n")
                return call
            work = works[function] = namespace[name]
        return work(call, function, args, kwargs)

    def __getattribute__(self, name):
        return call_of(self) if name == "__call__" else getattr(function_of(self), name)


names = {}  # of functions: where coverage has put some of its own, they have others
slots = Stub.__dict__
call_of, set_call = slots["__call__"].__get__, slots["__call__"].__set__
function_of, set_function = slots["function"].__get__, slots["function"].__set__
set_init = slots["__init__"].__set__
Stub.__name__ = Builtin.__name__


def stand_in(space, name, call=None):
    """Put a Stub in the place of a module's function, whose work is done as HOMES says, or by that call."""
    function = space[name]
    if call is None:
        call = Method(Stub, function)
        names[function] = name
    stub = object.__new__(Stub)
    set_function(stub, function)
    set_call(stub, call)
    space[name] = stub
    return stub


def create(spec):
    """Stands in for `_imp.create_builtin`, by which `atexit` is made, each time that it isn't in `sys.modules`."""
    module = create_builtin(spec)
    if spec.name == "atexit":
        try:
            from registering import cover

            cover(module)
        except Exception:
            put(b"L\n")
    return module


def attempt(name, *arguments):
    """Have a part note what happens: at a fork, before and after it in the child, or when an exception is reported."""
    if path is None:  # this is the fork server: its children begin a record of their own
        return True
    try:
        from homes import HOMES

        load(HOMES[name])
        namespace[name](*arguments)
    except Exception:  # no memory, no stack, an audit hook in C
        put(b"L\n")
        if name == "after_fork":
            target[0] = b"".count  # takes a line and does nothing with it
    return True


def tear_down(reference):
    """Modules are about to be cleared: first of all, the interpreter drops these objects."""
    if sys.is_finalizing():
        from registering import exit_begins

        exit_begins()()


# ---- the start


def extension(name):
    """A module of the standard library that is a file of machine code; `sys.modules` doesn't show it for our sake."""
    was_there = name in modules
    try:
        for folder in sys.path:  # a search by the import system costs more
            if folder.endswith("lib-dynload"):
                break
        else:
            raise ImportError
        module = _imp.create_dynamic(Spec(name=name, origin=f"{folder}/{name}{_imp.extension_suffixes()[0]}"))
        _imp.exec_dynamic(module)
    except (ImportError, IndexError):
        module = __import__(name)
    if not was_there:
        modules.pop(name, None)  # up to 3.11 some show themselves
    return module


def start(os):
    global codes, mmap, moments, path, pid, unrecorded, window
    mmap = extension("mmap").mmap
    if CODES:
        codes = mapped(0, 0, CODES)
    interpreter, unrecorded, before = 0, modules["atexit"]._ncallbacks() if "atexit" in modules else 0, None
    if b"PYTEST_ATEXIT_SERVER" in environ:  # what is recorded now is part of each child's record
        area, path = modules["_io"].BytesIO(), None
        target[0], window = area.write, (area, 0, WINDOW)
        cover_functions(os)
        from serving import serve

        path = serve(os, os.environ)
        before = area.getvalue()
    if path[-8:] == "#moments":
        moments, path = True, path[:-8]
        from holding import prepare_to_hold

        prepare_to_hold()
    area = mapped(WINDOW)
    target[0], window, pid = area.write, (area, top - WINDOW, WINDOW), os.getpid()
    if (
        window[1] >> PROGRAM_BITS & 0xFF
    ):  # only where the pid has begun a program before can this be another interpreter
        from starting import interpreter_number

        interpreter = interpreter_number()
    if sys.implementation.name != "cpython":
        load("on_pypy")
        namespace["prepare"]()
    version = "%s %d.%d.%d" % (sys.implementation.name, *sys.version_info[:3])  # noqa: UP031, it is cheaper
    texts = "\0".join((version, sys.executable or "", os.__file__.rpartition(os.sep)[0], *sys.orig_argv))
    began = FORMAT, monotonic_ns(), pid, os.getppid(), interpreter, unrecorded, unicode_escape_encode(texts)[0]
    put(b"P\t%d\t%d\tstart\t%d\t%d\t%d\t%d\t%b\n" % began)
    if before is not None:
        target[0](before)
    else:
        cover_functions(os, interpreter)
    if b"PYTEST_ATEXIT_PATH" in environ or b"PYTEST_ATEXIT_ENDING" in environ:
        from starting import first_process

        first_process(os.environ)
    if b"PYTEST_ATEXIT_COMMANDS" in environ:  # a test answers for what is executed
        from commanding import cover_commands

        cover_commands(os)


def cover_functions(os, interpreter=0):
    global teardown
    if not interpreter:
        faulthandler = create_builtin(Spec(name="faulthandler"))  # our own, which `sys.modules` doesn't show
        exec_builtin(faulthandler)
        # Then it ends by it (`chain`): some calls return when a signal comes, and what hung would go on.
        faulthandler.register(STACKS_SIGNAL, file=2, all_threads=True, chain=True)
        faulthandler.__dict__.clear()  # a cycle that the collector would have to find
    # These call `attempt` as long as it lives and don't keep it alive. `areas` must live as long as the interpreter,
    # all else may go when modules go, which saves the collector work.
    call, function = Function.__call__, ref(attempt)
    before = Method(any, map(call, iter(function, None), iter("before_fork".__str__, None)))
    after = Method(any, map(call, iter(function, None), iter("after_fork".__str__, None)))
    os.register_at_fork(before=before, after_in_child=after, after_in_parent=areas.__len__)
    stand_in(sys.__dict__, "addaudithook")
    space, builtin = os.__dict__, posix().__dict__
    for name in ("_exit", "execv", "execve", "register_at_fork"):
        in_c = type(space[name]) is Builtin
        stub = stand_in(space, name)
        if in_c:
            builtin[name] = stub
    _imp.create_builtin = create
    if sys.version_info >= (3, 12):  # the first that the interpreter drops of what it has
        dropped = sys.path_importer_cache.get(os.__file__.rpartition(os.sep)[0])
    else:
        dropped = sys.__dict__.get("__interactivehook__")
    try:
        teardown = ref(dropped, tear_down)
    except TypeError:  # somebody has put another object there
        pass
    if "atexit" in modules:
        from registering import cover

        cover(modules["atexit"])
    if unrecorded or "threading" in modules:  # a `.pth` file of the environment has imported what works at exit, too
        from starting import cover_early

        cover_early()


if path:
    try:
        if not CODES:  # no bytecode lies ready
            exec(__spec__.loader.get_data(__file__.replace("sitecustomize", "parts/unbuilt")), namespace)
        start(os)
    except Exception:  # no journal, no record: the parent says so
        if b"PYTEST_ATEXIT_COMMANDS" in environ:  # and commands would be real ones
            os.write(2, b"pytest-atexit: the recorder can't be loaded, so nothing would answer for commands (fp=)\n")
            os._exit(127)

for name in "cover_functions", "environ", "extension", "slots", "start":
    del namespace[name]  # what lives at the end, the collector visits

# Hand over. These are the last lines: see the chapter on start-up in docs/recording.md.
folder = __file__.rpartition(os.sep)[0]
if folder in sys.path:
    sys.path.remove(folder)
sys.path_importer_cache.pop(folder, None)
if "zipimport" in sys.modules:  # it may be an archive
    sys.modules["zipimport"]._zip_directory_cache.pop(folder, None)
del sys.modules["sitecustomize"], os
import sitecustomize
