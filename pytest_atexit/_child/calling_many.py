"""A part of the agent: iterators that call a handler, each of which is small. They need a module of their own."""

from values import built_in

itertools = built_in("itertools")
always = itertools.repeat


def calls(handler, args):
    """An iterator that calls a handler for each item."""
    return itertools.starmap(handler, itertools.repeat(args))
