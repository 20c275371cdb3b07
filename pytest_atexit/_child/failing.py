"""A part of the agent: notes what a handler raised, between the handler and the program's `sys.unraisablehook`."""

from registering import Entry, shown
from sitecustomize import Method, Stub, call_of, get_ident, interned, monotonic_ns, put, set_init, sys
from values import DEEP, MANY, SlotWrapper, dict_of, encoded, escape, mro_of, stub_of, text_token, type_name

get_arguments, get_traceback, get_cause, get_context, is_suppressed = (
    BaseException.__dict__[name].__get__
    for name in ("args", "__traceback__", "__cause__", "__context__", "__suppress_context__")
)
default_hook = sys.__unraisablehook__
CONTAINERS = b"tldez"  # as in `values`
missing = object()  # the program has deleted its hook
expected = []  # what stands in for other functions that would have been told of an exception


def message(exception):
    """`str(exception)` as far as that runs no code of the program."""
    for cls in mro_of(type(exception)):
        if "__str__" in dict_of(cls):
            break
    arguments = get_arguments(exception)
    if type(dict_of(cls)["__str__"]) is SlotWrapper and is_plain(arguments):
        return str(exception)
    return ", ".join(part if type(part) is str else plainly(part) for part in arguments)


def is_plain(value):
    """Whether it is made of built-in types alone, as far as is looked: not if a container has more than is shown."""
    for token in encoded(value).split(b"\x1f"):
        shown_items, _, items = token[1:].partition(b":")
        if token[:1] == b"o" or (token[:1] in CONTAINERS and shown_items != items):
            return False
    return True


def plainly(value):
    """Its `repr` where that runs no code of the program, else the name of its type."""
    try:
        if is_plain(value):
            return repr(value)
    except Exception:  # an integer may have too many digits
        pass
    return f"<{type_name(type(value))}>"


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


class Report(Stub):
    """Stands in for the program's `sys.unraisablehook`, once: notes the exception, then calls that one in C."""

    __slots__ = ()

    def __new__(cls, unraisable):
        hook, unraisable = note_failure(unraisable)
        report = object.__new__(cls)
        called = map("".format, map(hook, (unraisable,)))  # always "", which {}.get makes None
        set_init(report, Method(next, map({}.get, called)))
        return report


def handler_raised(called):
    """The interpreter reports that next; or somebody has looked at `__call__` of an entry, which is in `called`."""
    if called:
        called.pop()
    else:
        arm()


def arm():
    """A handler has raised: be told what, for that is reported next."""
    global installed, program_hook
    hook = sys.__dict__.get("unraisablehook", missing)
    if type(hook) is not Stub or call_of(hook) is not Report:
        program_hook = hook
        # Kept in a global, for the interpreter only borrows it while it calls it.
        installed = stub_of(default_hook if hook is missing or hook is None else hook, Report)
        sys.unraisablehook = installed


def restore():
    """Put the program's hook back; returns the hook that the interpreter would call."""
    if program_hook is missing:
        del sys.unraisablehook
    else:
        sys.unraisablehook = program_hook
    return default_hook if program_hook is missing or program_hook is None else program_hook


def settle():
    """Put functions back that were not told after all; returns how many."""
    count = len(expected)
    while expected:
        space, name, witness, function = expected.pop()
        if space.get(name) is witness:
            space[name] = function
    return count


def note_raised(exception, number=0):
    """Note what a handler or other work has raised; without its number, it is what was called last."""
    try:
        put(b"T\t%d\t%d\t%b\n" % (monotonic_ns(), number, b"\t".join(raised(exception))))
    except Exception:
        put(b"T\t%d\t%d\t\x1e?\x1e\x1es\x1e\n" % (monotonic_ns(), number))


def note_failure(unraisable):
    """Note what a handler raised; returns the program's hook and what it would have got without us."""
    hook, handler = restore(), unraisable.object
    for _ in range(settle()):  # it has gone through work that the handler did
        note_raised(unraisable.exc_value)
    note_raised(unraisable.exc_value, handler.number if type(handler) is Entry else shown.pop(get_ident(), 0))
    if type(handler) is Entry:
        unraisable = type(unraisable)((*unraisable[:4], handler[1]))
    return hook, unraisable
