"""A part of the agent: what is otherwise on PyPy. There it is loaded at the start, with all the other parts.

Objects don't die at once there, so no chain of iterators can tell that a handler has raised. But code can be hidden, as
PyPy hides that of its own modules which are in Python: no traceback, no `f_back`, no tracer and no profiler shows it.
"""

from exiting import Witness  # what it defines is overwritten below
from failing import arm, get_arguments, note_raised, raised, restore
from holding import OVER, asked_for, looks, page
from registering import NAMELESS, Entry, exit_begins, numbers, registration
from sitecustomize import (
    Function,
    Stub,
    exec_builtin,
    function_of,
    get_ident,
    getframe,
    has_room,
    live,
    load,
    main_thread,
    modules,
    moments,
    monotonic_ns,
    namespace,
    parts,
    put,
    set_init,
    stand_in,
    sys,
    target,
)
from unregistering import removed
from values import dict_of, encoded, mro_of, stub_of, type_name
from waiting import LINES  # not used: `waiter` is overwritten below, and must not be put back


def cell_of(value):
    return lambda: value


builtinify, hidden = modules["__pypy__"].builtinify, modules["__pypy__"].hidden_applevel
Code, BuiltinCode = type(load.__code__), type(object.__str__.__code__)
Cell = type(cell_of(0).__closure__[0])
real_getframe, usual_exec_builtin = getframe, exec_builtin
plain_modules, program_builtins = {*modules}, modules["builtins"].__dict__
exiting, stubs = False, {}
NOBODY = ("call stack is not deep enough",)


def hide(code):
    """Hide code, and what is defined in it."""
    closure = tuple([Cell() for _ in code.co_freevars]) or None
    hidden(Function(code, namespace, "", (), closure))
    for constant in code.co_consts:
        if type(constant) is Code:
            hide(constant)


def prepare():
    """Do what the other parts expect of an interpreter. PyPy heeds no `__builtins__` but that of the program."""
    fakes = ("commanding", "opening", "shelling") if "PYTEST_ATEXIT_COMMANDS" in modules["os"].environ else ()
    for part in ("extending", "finalizing", "homes", "joining", "leaving", "starting", *fakes):
        load(part)
    parts.clear()  # The others make chains.
    b" ".decode("latin-1")  # the first time it runs code of the library
    for name, value in namespace["__builtins__"].items():
        namespace.setdefault(name, value)
    for value in tuple(namespace.values()):
        for found in (value, *(dict_of(value).values() if type(value) is type else ())):
            function = getattr(found, "__func__", found)  # of a `__new__`
            if type(function) is Function and function.__globals__ is namespace:
                hide(function.__code__)
    namespace["create"] = builtinify(namespace["create"])


def exec_builtin(module):  # type: ignore[no-redef]  # the point of this part
    """As elsewhere, but that `create_builtin` has put the module into `sys.modules`."""
    usual_exec_builtin(module)
    if module.__name__ not in plain_modules:
        del modules[module.__name__]


def sum(numbers):  # noqa: A001, it is to shadow it
    """As elsewhere: PyPy's own is Python code that looks up built-in names of the program."""
    total = 0
    for number in numbers:
        total += number
    return total


def getframe(depth):  # type: ignore[no-redef]  # see above
    """The frame of the program's code that has called us: ours don't count."""
    return real_getframe()


# ---- handlers


def caller(number, handler, args, kwargs, is_reported=True):
    """What calls a handler, and writes its start and end.

    `is_reported`: what it raises goes to `sys.unraisablehook`.
    """

    def call():
        exit_begins()()
        try:
            target[0](b"S%x\t%d\t%x\n" % (monotonic_ns(), "last_type" in sys.__dict__, number))
            if moments:
                hold(number)
            handler(*args, **kwargs)
            target[0](b"E%x\t%x\n" % (monotonic_ns(), number))
        except BaseException as error:
            note_raised(error, number)
            if is_reported:
                report_next()
            raise

    return call


def doing(number, handler, args, kwargs, ends=None):
    """As elsewhere, for work that is no handler."""
    entry = Entry(((), handler))
    entry.__next__, entry.number = caller(number, handler, args, kwargs, ends is None), number
    return entry


def ends_for(module, name):
    """What is raised is noted at once."""
    return module, name


def hold(number):
    """Hold the handler that is about to be called, if a test asks for that."""
    slot = page[0] and asked_for(number)
    if slot:
        for over in looks(slot + OVER):
            if over:
                return


def runner(run):
    """What stands in for `atexit._run_exitfuncs`, which the interpreter looks up there at exit, too."""

    def call(*args, **kwargs):
        global exiting
        if not exiting and get_ident() == main_thread:
            try:
                real_getframe()
            except ValueError as error:
                if error.args == NOBODY:
                    exiting = True
                    return run(*args, **kwargs)
        if args or kwargs:
            return run(*args, **kwargs)
        put(b"S%x\t%d\t0\n" % (monotonic_ns(), "last_type" in sys.__dict__))
        try:
            return run()
        finally:
            put(b"E%x\t0\n" % monotonic_ns())

    return call


def cover(module):
    """Put our functions into an `atexit` module."""
    global registry
    if type(module.register) is Stub:
        return
    registry = module.register.__globals__["atexit_callbacks"]
    for name in "register", "unregister", "_clear", "_run_exitfuncs":
        function = getattr(module, name)
        if function in stubs:  # another module, with the same functions
            setattr(module, name, stubs[function])
        elif name == "_run_exitfuncs":
            module._run_exitfuncs = stubs[function] = stub_of(function, runner(function))
        else:
            stubs[function] = stand_in(module.__dict__, name)


def register(call, function, args, kwargs):
    """As elsewhere; but `func` can be a keyword, and a signal can come amid the real function, which is Python code."""
    global live
    if args and "func" not in kwargs:
        handler, *args = args
    elif "func" in kwargs and not args:
        kwargs = {**kwargs}
        handler = kwargs.pop("func")
    else:
        return call
    if not callable(handler):
        return call
    args, number = tuple(args), next(numbers)
    try:
        line = registration(number, handler, args, kwargs, 3)
    except Exception:
        line = NAMELESS % (number, monotonic_ns())
    if type(handler) is Stub:  # is what our `__new__` returns
        set_init(handler, lambda *args, **kwargs: None)
    try:
        if has_room(len(line)):
            entry = Entry(((), handler))
            entry.__next__, entry.number = caller(number, handler, args, kwargs), number
            live += 1
            if program_builtins.get("callable") is not callable:  # the real function would call the program's
                function(entry)
                put(line)
                return handler
            next(zip(map(target[0], (line,)), map(registry.append, ((entry, (), {}),))))
            return handler
    except (RecursionError, MemoryError):
        put(b"L\n")
    function(handler, *args, **kwargs)
    return handler


def waiter(stub):
    """What calls `os.waitpid` or the like, and notes how a child ended."""
    function = function_of(stub)

    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        if result[0]:
            put(b"W%x\t%x\t%x\n" % (result[0], result[1], monotonic_ns()))
        return result

    return call


# ---- what is registered


def registered():
    """Numbers of the handlers that are registered now, in the order in which `unregister` asks them."""
    return [handler.number for handler, _, _ in registry if type(handler) is Entry]


Entry.__call__ = Entry.__dict__["__next__"]
Entry.__eq__ = lambda entry, other: entry[1] == other  # so `unregister` needs no probe


def unregister(call, function, args, kwargs):
    before = registered()
    try:
        return function(*args, **kwargs)
    finally:
        removed(b"U", before)


# ---- exceptions


def dict_in(instance):
    return object.__getattribute__(instance, "__dict__")


def report_next():
    """A handler has raised, which was noted: the interpreter may fail to report it, and then our hook isn't called."""
    try:
        arm()
    except Exception:
        put(b"L\n")


def note_failure(unraisable):
    """Give the report the handler for our Entry. Attributes are Python code there, which tracers see."""
    hook, items = restore(), [*tuple.__iter__(unraisable)]
    if type(items[4]) is Entry:
        items[4] = items[4][1]
        further, unraisable = dict_in(unraisable), tuple.__new__(type(unraisable), items)
        dict_in(unraisable).update(further)
    return hook, unraisable


def message(exception):
    """`str(exception)` as far as that runs no code of the program."""
    for cls in mro_of(type(exception)):
        if "__str__" in dict_of(cls):
            break
    arguments, function = get_arguments(exception), dict_of(cls)["__str__"]
    in_c = type(function) is Function and type(function.__code__) is BuiltinCode
    if in_c and not any(token[:1] == b"o" for token in encoded(arguments).split(b"\x1f")):
        return str(exception)
    return ", ".join(part if type(part) is str else f"<{type_name(type(part))}>" for part in arguments)
