"""A part of the agent: what a signal handler of the program raises while a handler is registered comes after that."""

from registering import NAMELESS, registration
from sitecustomize import Method, audited, monotonic_ns, namespace, set_init


def in_spite_of(error, number, *registered):
    """Returns the line all the same, and what a signal handler of the program has raised meanwhile: that can wait."""
    interruption = error if is_interruption(error) else None
    try:
        if interruption is not None:
            return registration(number, *registered, 4), interruption
    except BaseException as another:
        interruption = another if is_interruption(another) else interruption
    return NAMELESS % (number, monotonic_ns()), interruption


def is_interruption(error):
    """Whether a signal handler has raised it: no other code of the program runs here, but audit hooks."""
    step = error.__traceback__
    while step.tb_next is not None:
        step = step.tb_next
    return not audited and (step.tb_frame.f_globals is not namespace or not isinstance(error, Exception))


def raising(call, error):
    """Have the interpreter raise what a signal handler has raised, without a frame of ours."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals is namespace:
        step = step.tb_next
    spent = (item for item in ())
    list(spent)  # a generator that is over raises what is thrown at it without a frame of its own
    set_init(call, Method({*()}.update, map(spent.throw, (error.with_traceback(step),))))
    return call
