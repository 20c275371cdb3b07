"""A part of the agent: notes exceptions that the interpreter reports and ignores."""

from failing import Report, raised
from registering import LONGEST_NAME
from sitecustomize import Stub, audited, call_of, interned, monotonic_ns, put, sys
from values import described, escape


def note_ignored(hook, unraisable):
    """Note an exception that the interpreter is about to report, unless it is a handler's.

    In the end, when even `sys` is cleared, it reports none any more.
    """
    if (type(hook) is Stub and call_of(hook) is Report) or (hook is None and sys.__dict__.get("stderr") is None):
        return
    name, module, file = described(unraisable.object) if unraisable.object is not None else ("", "", "")
    # Where the program audits, our hook has been there before the exit.
    phase = 2 if sys.is_finalizing() else 0 if audited else 1
    write_ignored(0, phase, (name or unraisable.err_msg or "", module, file), unraisable.exc_value)


def write_ignored(number, phase, source, exception):
    """Write the line.

    `number` is that of the thread in which the exception was raised, 0 for none; `phase` 2 for the interpreter's
    teardown, 1 for the exit before, 0 if that isn't known; `source` the name, module and file of what raised.
    """
    name, module, file = source
    fields = monotonic_ns(), number, phase, escape(name[:LONGEST_NAME]), interned(module), interned(file)
    put(b"I\t%d\t%d\t%d\t%b\t%d\t%d\t%b\n" % (*fields, b"\t".join(raised(exception))))
