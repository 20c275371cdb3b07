"""A part of the agent: iterators that call a handler. `sys.call_tracing` would end a trace that the handler begins."""

from sitecustomize import Builtin, Function, Method, load, namespace


def always(value):
    """An iterator that yields bytes or a function for ever."""
    return iter(Method([value].__getitem__, 0), None)


def calls(handler, args):
    """An iterator that calls a handler for each item."""
    kind = type(handler)
    if not args and (kind is Function or kind is Builtin):
        return map(kind.__call__, always(handler))
    load("calling_many")
    return namespace["calls"](handler, args)
