"""A part of the agent: functions that don't return when they succeed are noted before they are called."""

from registering import exit_begins, place
from sitecustomize import audited, getframe, interned, load, modules, monotonic_ns, names, parts, put, sys
from values import encoded, escape, thread_name


def path_of(args, kwargs):
    """The PYTHONPATH that an exec hands on: of the environment in its arguments, or else of our own."""
    environ = modules.get("os", sys).__dict__.get("environ")
    handed = args[2] if len(args) > 2 else kwargs.get("env", environ)
    if type(handed) is not dict:
        handed = object.__getattribute__(handed, "__dict__").get("_data")
    if type(handed) is not dict:
        return b""
    for key, value in handed.items():  # keys of other types are the program's: not to be compared
        if (type(key) is bytes and key == b"PYTHONPATH") or (type(key) is str and key == "PYTHONPATH"):
            text = value.decode(sys.getfilesystemencoding(), "surrogateescape") if type(value) is bytes else value
            return escape(text) if type(text) is str else b""
    return b""


def where(frame):
    """File, line and module of the code that called us, as numbers."""
    file, line, module = place(frame)
    return interned(file), line, interned(module)


def _exit(call, function, args, kwargs):
    try:
        frame = getframe(2)
    except Exception:  # an audit hook forbids to look
        frame = None
    note_last_call(names[function], frame, args, kwargs)
    try:
        function(*args, **kwargs)
    except Exception:  # it will fail again, in C
        put(b"V\n")
    return call


def note_last_call(name, frame, args, kwargs):
    """Write down what is about to be called, and where."""
    try:
        path = b"" if name == "_exit" else path_of(args, kwargs)
    except Exception:  # the environment is an object of the program's own
        path = b""
    try:
        fields = monotonic_ns(), escape(name), *where(frame), escape(thread_name()), encoded(args), path
        put(b"X\t%d\t%b\t%d\t%d\t%d\t%b\t%b\t%b\n" % fields)
    except Exception:
        put(b"L\n")


execv = execve = _exit


def addaudithook(call, function, args, kwargs):
    """The hook would see how a part is loaded, or our hook is added, and might forbid it: it finds all there."""
    global audited
    audited = True
    exit_begins()()  # later, it would be asked
    for name in tuple(parts):
        if name != "on_pypy":  # it is there where no bytecode lies ready
            load(name)
    return call
