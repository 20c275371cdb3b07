"""A part of the agent: iterators that call a handler, for a few handlers. They need no further module."""

from sitecustomize import Builtin, Function, Method, load, namespace, sys

if sys.version_info >= (3, 12):

    def always(text):
        """An iterator that yields these bytes for ever."""
        return iter(text.__bytes__, None)

    def calls(handler, args):
        """An iterator that calls a handler for each item."""
        return map(Method(sys.call_tracing, handler), iter(Method(args.__add__, ()), None) if args else nothing)

    nothing = iter(Method(().__add__, ()), None)

else:  # `call_tracing` would end a trace that the handler begins

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
