"""A part of the agent: the fork server, a loop at the start of an interpreter.

It ends in a forked child, which leaves it: then the interpreter goes on with its start and runs the script natively,
with no frame of ours above it. docs/launchers.md has the whole of it.
"""

from _codecs import utf_8_encode, utf_32_le_encode

from sitecustomize import Builtin, Function, extension, function_of, getframe, loads, modules, namespace, ref, sys
from values import built_in, dict_of, mro_of

LARGEST = 1 << 18  # of a request, in bytes
STREAMS = 3
INTERPRETER_CLEARS = "sys", "builtins", "__main__"  # or the program has one of its own
# What weak references call and is nothing but tidying up: functions in C, and those of modules.
TIDYING = "_destroy", "_localdummy_destroyed", "clear_locals"  # the last one from 3.13 on
TIDY = {"_frozen_importlib": "cb", "_weakrefset": "_remove", "logging": "_removeHandlerRef", "weakref": "remove"}
WRITERS = "_sqlite3", "_dbm", "_gdbm"  # what their objects do when they die shows in files, and not in their types
MANY_OBJECTS = 1 << 18  # to look at more takes longer than to clear modules
kept = []  # what is frozen before the first fork, and so never dies


def serve(os, environ):
    """Fork whenever we are asked to. Returns in the children only, with the path of the journal of each."""
    _socket, poll = extension("_socket"), extension("select").poll()
    forks, ends = lines = [_socket.socket(fileno=int(each)) for each in environ.pop("PYTEST_ATEXIT_SERVER").split()]
    room = _socket.CMSG_SPACE(12)
    try:
        for line in lines:
            poll.register(line, 1)  # POLLIN
        notes, collects = prepare_to_serve(os, environ, lines)
        if os.fork():  # no child of the tests, which may wait for any of theirs
            os._exit(0)
        forks.send(b"=%d" % os.getpid())
    except BaseException as error:
        forks.send(failure(error))
        os._exit(1)
    while True:
        for descriptor, _ in poll.poll():
            line = forks if descriptor == forks.fileno() else ends
            data, rights, _, _ = line.recvmsg(LARGEST, room)
            if not data:  # the tests are over
                os._exit(0)
            if not answered(os, line, data, rights):
                break
        else:
            continue
        streams, request = [*memoryview(rights[0][2]).cast("i")], loads(data)
        try:
            journal = become(os, environ, notes, streams, request)
            if collects:
                built_in("gc").enable()
            forks.send(b"=%d" % os.getpid())
        except BaseException as error:
            forks.send(failure(error))
            os._exit(1)
        forks.close()
        ends.close()
        return journal


def prepare_to_serve(os, environ, lines):
    """Do all that the children needn't do. Returns what `become` needs, and whether their collector is on."""
    notes = Notes(os, sys.orig_argv[-1], environ["PYTEST_ATEXIT_JOURNAL"])
    if "PYTEST_ATEXIT_PATH" in environ:
        from starting import first_process

        first_process(environ)
    preload(os, [*filter(None, environ.pop("PYTEST_ATEXIT_PRELOAD", "").split(","))])
    collector = built_in("gc")
    callbacks, collector.callbacks[:] = collector.callbacks[:], []  # it is no collection of the program's
    collector.collect()
    collector.callbacks[:] = callbacks
    collects = collector.isenabled()
    collector.disable()
    keep_code()
    spare_modules(os, collector, lines)
    collector.freeze()  # else each child's collections, the last one too, would go through all of this
    return notes, collects


def keep_code():
    """Let nobody's end free the code that is running: each page that it lies in would have to be copied for that."""
    frame = getframe()
    while frame is not None:
        kept.append(frame.f_code)
        frame = frame.f_back


def spare_modules(os, collector, lines):
    """Let children leave the modules that are there as they are in the end, where no object would notice.

    The interpreter clears modules name by name, and for each object that is written to a page is copied: that takes
    longer than all the rest. Where an object would notice, nothing is frozen any more, so that all dies that can.
    """
    get_objects = collector.get_objects
    ours = {*map(id, lines)}  # from 3.12 on the collector knows sockets
    noticed = sys.flags.dev_mode or bool(sys.warnoptions)  # who may be warned of what the collector doesn't know
    noticed = noticed or somebody_notices([each for each in get_objects() if id(each) not in ours])
    spared = [(name, module) for name, module in modules.items() if name not in INTERPRETER_CLEARS]

    def spare(reference):
        if not sys.is_finalizing():
            return
        try:
            # An audit hook of the program's would hear what we look at.
            objects = [] if namespace["audited"] or sys.gettrace() or sys.getprofile() else get_objects()
            if objects and id(namespace["young"]) not in map(id, objects):
                return  # the program has frozen all that there is, so in a plain run nothing of it is collected, too
            if not objects or noticed or len(objects) > MANY_OBJECTS or somebody_notices(objects):
                collector.unfreeze()
            else:
                for name, module in spared:
                    if modules.get(name) is module:
                        modules[name] = None  # as the interpreter does next, when it has listed what it will clear
        except Exception:  # no memory: all modules are cleared
            pass

    finder = sys.path_importer_cache.get(os.path.dirname(os.__file__))
    try:  # as `watched`: it is called before modules are cleared
        kept.append(ref(finder if sys.version_info >= (3, 12) else sys.__dict__.get("__interactivehook__"), spare))
    except TypeError:
        pass


def somebody_notices(objects):
    """Whether one of them has a `__del__`, or is a weak reference that calls what does more than to tidy up.

    The streams don't count: they die with `sys`, which the interpreter clears as ever.
    """
    if any(name in modules for name in WRITERS):
        return True
    found = [(modules.get(name), function) for name, function in TIDY.items()]
    tidy = {id(module.__dict__): function for module, function in found if type(module) is type(sys)}
    tidy[id(namespace)] = None
    weak, referents = modules["_weakref"], built_in("gc").get_referents
    proxies = {id(weak.ProxyType), id(weak.CallableProxyType)}
    callback_of, references = ref.__dict__["__callback__"].__get__, set()
    kinds = {id(kind): kind for kind in map(type, objects)}
    for name in ("BytesIO", "StringIO"):  # these hold memory and nothing else
        kinds.pop(id(getattr(modules["_io"], name)), None)
    for kind in kinds.values():
        classes = mro_of(kind)
        if any("__del__" in dict_of(cls) for cls in classes):
            streams = standard_streams()
            if not all(id(each) in streams for each in objects if type(each) is kind):
                return True
        if any(cls is ref for cls in classes):
            references.add(id(kind))
    for each in objects:
        kind = id(type(each))
        if kind in references or kind in proxies:
            called = callback_of(each) if kind in references else next(iter(referents(each)), None)
            if type(called) is Function:
                if tidy.get(id(called.__globals__), "") not in (None, called.__name__):
                    return True
            elif called is not None and (type(called) is not Builtin or called.__name__ not in TIDYING):
                return True
    return False


def standard_streams():
    """The identities of what the interpreter has made for them."""
    kind = modules["_io"].TextIOWrapper
    files = [file for file in (sys.__stdin__, sys.__stdout__, sys.__stderr__) if type(file) is kind]
    buffers = [file.buffer for file in files]
    return {*map(id, files), *map(id, buffers), *(id(getattr(buffer, "raw", None)) for buffer in buffers)}


def answered(os, line, data, rights):
    """Do what is asked for in the server. Returns False in a child that is forked for it."""
    streams = [*memoryview(rights[0][2]).cast("i")] if rights else []
    try:
        request = loads(data)
        if type(request) is int:
            status = ended(os, request)
            if request > 0:
                line.send(b"=%d" % status)
        elif len(streams) != STREAMS:
            raise OSError("too many files are open in the fork server")
        elif not os.fork():
            return False
    except Exception as error:  # the system refuses, and may allow the next one
        line.send(failure(error))
    for stream in streams:
        os.close(stream)
    return True


def failure(error):
    return f"!{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")


def ended(os, request):
    """How a child has ended, which is waited for; it stays to be asked again. A negative number reaps it."""
    wait = os.waitid
    if type(wait) is not type(len):  # ours would put that into the record of the next child
        wait = function_of(wait)
    if request < 0:
        try:
            wait(os.P_PID, -request, os.WEXITED)
        except OSError:  # somebody has reaped it
            pass
        return 0
    told = wait(os.P_PID, request, os.WEXITED | os.WNOWAIT)
    return told.si_status if told.si_code == os.CLD_EXITED else -told.si_status


def become(os, environ, notes, streams, request):
    """In the child: what a started program finds."""
    argv, cwd, umask, changes, has_input = request
    namespace["young"] = []  # the first object that isn't frozen
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    os.umask(umask)
    os.chdir(cwd)
    for name, value in changes:
        if value is None:
            del environ[name]
        else:
            environ[name] = value
    notes.write(argv, environ["PYTEST_ATEXIT_JOURNAL"])
    sys.orig_argv[-1:], sys.argv[:] = argv, argv
    if has_input:
        renew_stdin()
    # One that isn't frozen: else the program's functions and their globals, a cycle, would never be collected.
    frozen = modules["__main__"]
    modules["__main__"] = main = type(frozen)("__main__")
    main.__dict__.update(frozen.__dict__)
    return environ["PYTEST_ATEXIT_JOURNAL"]


def renew_stdin():
    """Make it as the interpreter does: what it is shows in its attributes."""
    old, io = sys.stdin, modules["_io"]  # `io` is not there from 3.14 on
    raw = io.open(0, "rb", -1, None, None, None, False)
    raw.raw.name = "<stdin>"
    new = io.TextIOWrapper(raw, old.encoding, old.errors, "\n" if sys.platform != "win32" else None, old.line_buffering)
    new.mode = "r"
    sys.stdin = sys.__stdin__ = new


class Notes:
    """Where the interpreter has noted what it was started with, so that a child's are those of its own start.

    These are its configuration, in wide characters, and what /proc shows: command line and environment. Each place
    holds a long placeholder until a child writes over it.
    """

    def __init__(self, os, *placeholders):
        self.os, self.placeholders = os, placeholders
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        self.wide, self.narrow = [], []
        with open("/proc/self/maps") as file:
            areas = [line.split() for line in file]
        for area in areas:
            if area[1] == "rw-p" and (len(area) < 6 or area[5] in ("[heap]", "[stack]")):
                start, end = (int(each, 16) for each in area[0].split("-"))
                self.look(os.pread(memory, end - start, start), start, len(area) > 5 and area[5] == "[stack]")
        os.close(memory)
        if len(self.wide) < 2 or len(self.narrow) < 2:
            raise LookupError("the interpreter's note of its script was not found where CPython has it")

    def look(self, content, start, is_stack):
        """Find the placeholders in an area of memory."""
        script, journal = self.placeholders
        for text, encode in (
            [(script, utf_8_encode), (journal, utf_8_encode)] if is_stack else [(script, utf_32_le_encode)]
        ):
            # No whole placeholder may lie in memory for our sake: it would be found.
            head, tail = encode(text[:9])[0], encode(text[9:])[0]
            at = content.find(head)
            while at >= 0:
                if content[at + len(head) : at + len(head) + len(tail)] == tail:
                    (self.narrow if is_stack else self.wide).append((start + at, text))
                at = content.find(head, at + 1)

    def write(self, argv, journal):
        """Put what holds for a child there; what isn't the placeholder any more was no note."""
        os, (script, _) = self.os, self.placeholders
        memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)  # of this process: what was open is the server's
        line = [os.fsencode(arg) for arg in argv]
        shown = b"\0".join(line)
        new = utf_32_le_encode(argv[0], "surrogatepass")[0], shown if len(shown) < len(script) else line[0]
        for places, encode, data in (self.wide, utf_32_le_encode, new[0]), (self.narrow, utf_8_encode, new[1]):
            for address, text in places:
                old = encode(text)[0]
                if os.pread(memory, len(old), address) == old:
                    wanted = data if text is script else os.fsencode(journal)
                    os.pwrite(memory, wanted.ljust(len(old), b"\0"), address)
        os.close(memory)


def preload(os, names):
    """Import modules before anything is forked."""
    for name in names:
        before = state(os)
        __import__(name)
        after = state(os)
        for what, value in after.items():
            if value != before[what]:
                raise RuntimeError(
                    f"{name} can't be preloaded: its import changes the {what}, which would be otherwise in forked "
                    "programs than in started ones"
                )


def state(os):
    """What a module may change when it is imported, and a forked program would not find as in a run of its own."""
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = file.read()
    with open("/proc/self/maps") as file:
        shared = [line for line in file if line.split(" ", 2)[1][3] == "s"]
    timers = modules["_signal"].getitimer
    return {
        "timers": [timers(number)[0] > 0 for number in range(3)],
        "shared memory": shared,
        "audit hooks": namespace["audited"],
        "trace and profile functions": (sys.gettrace(), sys.getprofile()),
        "number of threads": status["Threads"],
        "signal handlers": (status["SigCgt"], status["SigIgn"], status["SigBlk"]),
        "child processes": children,
        "open files": sorted(os.listdir("/proc/self/fd")),
        "working folder": os.getcwd(),
        "environment": dict(os.environ),
        "file mode mask": status["Umask"],
    }
