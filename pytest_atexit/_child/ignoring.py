"""A part of the agent: notes exceptions that the interpreter reports and ignores."""

from failing import Report, raised
from registering import LONGEST_NAME
from sitecustomize import Stub, call_of, interned, monotonic_ns, put, sys
from values import described, escape


def note_ignored(hook, unraisable):
    """Note an exception that the interpreter is about to report, unless it is a handler's.

    In the end, when even `sys` is cleared, it reports none any more.
    """
    if (type(hook) is Stub and call_of(hook) is Report) or (hook is None and sys.__dict__.get("stderr") is None):
        return
    where = unraisable.object
    if where is None:  # from 3.13 on it is often told in words
        source = unraisable.err_msg or "", "", ""
    elif type(where) is type(sys):
        source = f"{where.__name__} shutdown", "", ""
    else:
        source = described(where)
    write_ignored(0, 2 if sys.is_finalizing() else 0, source, unraisable.exc_value)


def write_ignored(number, phase, source, exception):
    """Write the line.

    `number` is that of the thread in which the exception was raised, 0 for none; `phase` 2 for the interpreter's
    teardown, 1 for the exit before, 0 if it may be before the exit; `source` the name, module and file of what raised.
    """
    name, module, file = source
    fields = monotonic_ns(), number, phase, escape(name[:LONGEST_NAME]), interned(module), interned(file)
    put(b"I\t%d\t%d\t%d\t%b\t%d\t%d\t%b\n" % (*fields, b"\t".join(raised(exception))))
