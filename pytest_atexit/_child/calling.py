"""A part of the agent: iterators that call a handler. From Python 3.12 on they need no further module."""

from sitecustomize import Method, sys


def always(text):
    """An iterator that yields these bytes for ever."""
    return iter(text.__bytes__, None)


def calls(handler, args):
    """An iterator that calls a handler for each item."""
    return map(Method(sys.call_tracing, handler), iter(Method(args.__add__, ()), None) if args else nothing)


nothing = iter(Method(().__add__, ()), None)
