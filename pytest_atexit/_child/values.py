"""A part of the agent: what lines say of the program's objects, without running code of the program."""

from sitecustomize import (
    SLACK,
    Builtin,
    Function,
    Method,
    Spec,
    Stub,
    create_builtin,
    exec_builtin,
    function_of,
    get_ident,
    main_thread,
    modules,
    set_call,
    set_function,
    unicode_escape_encode,
)

LONG = 1000  # characters of a string,
MANY = 100  # items of a container, or frames of a traceback, and
DEEP = 5  # levels of containers and of chained exceptions are recorded

SlotWrapper = type(object.__str__)
GetSet, Member = type(Function.__dict__["__code__"]), type(Function.__dict__["__globals__"])  # descriptors in C
mro_of = type.__dict__["__mro__"].__get__
dict_of = type.__dict__["__dict__"].__get__
qualname_of = type.__dict__["__qualname__"].__get__
module_of = type.__dict__["__module__"].__get__


def escape(text):
    return unicode_escape_encode(text)[0]


def type_name(cls):
    module = module_of(cls)
    return f"{module}.{qualname_of(cls)}" if type(module) is str else qualname_of(cls)


def stored_in_c(value, name):
    """An attribute that a C descriptor of the type yields, if it is a string."""
    for cls in mro_of(type(value)):
        attribute = dict_of(cls).get(name)
        kind = type(attribute)
        if kind is GetSet or kind is Member:
            found = attribute.__get__(value)
            return found if type(found) is str else None
    return None


def thread_name():
    """The name by which `threading` knows this thread; empty for the main thread."""
    ident = get_ident()
    if ident == main_thread:
        return ""
    threading = modules.get("threading")
    thread = threading.__dict__["_active"].get(ident) if threading is not None else None
    name = object.__getattribute__(thread, "__dict__").get("_name") if thread is not None else None
    return name if type(name) is str else f"thread {ident}"


def described(handler):
    """Name, module and file of a handler, without asking the handler itself."""
    kind = type(handler)
    if kind is Function:
        try:
            return handler.__qualname__, handler.__module__, handler.__code__.co_filename
        except Exception:  # an audit hook forbids to look at the code
            return handler.__qualname__, handler.__module__, ""
    if kind is Stub:
        return described(function_of(handler))
    if kind is Method:
        return described(handler.__func__)
    if kind is Builtin:
        return handler.__qualname__, handler.__module__, ""
    if any(cls is type for cls in mro_of(kind)):  # `in` would ask a metaclass for `==`
        return qualname_of(handler), module_of(handler), ""
    name, module = type_name(kind), module_of(kind)
    if name == "functools.partial":
        inner, module, file = described(handler.func)
        return f"partial({inner})", module, file
    if name == "functools._lru_cache_wrapper":
        return described(handler.__wrapped__)
    return stored_in_c(handler, "__qualname__") or qualname_of(kind), stored_in_c(handler, "__module__") or module, ""


def text_token(kind, text, size, most=LONG):
    """A string, or its beginning behind its size."""
    return kind + escape(text) if size <= most else b"%b%d:%b" % (kind.upper(), size, escape(text[:most]))


def container_letter(kind):
    if kind is tuple:
        return b"t"
    if kind is list:
        return b"l"
    if kind is dict:
        return b"d"
    return b"e" if kind is set else b"z" if kind is frozenset else b""


def encode(value, tokens, most, depth=0):
    """Append what is plain data of exact built-in types as it is, anything else as the name of its type."""
    kind = type(value)
    if value is None:
        tokens.append(b"n")
    elif kind is bool:
        tokens.append(b"+" if value else b"-")
    elif kind is int and value.bit_length() <= 4 * most:
        tokens.append(b"i%x" % value)
    elif kind is float:
        tokens.append(b"f" + value.hex().encode())
    elif kind is str:
        tokens.append(text_token(b"s", value, len(value), most))
    elif kind is bytes:
        tokens.append(text_token(b"b", value[:most].decode("latin-1"), len(value), most))
    else:
        letter = container_letter(kind)
        if not letter or depth == DEEP or len(tokens) >= MANY:
            tokens.append(b"o" + escape(type_name(kind)))
            return
        items = list(value.items() if kind is dict else value)
        tokens.append(b"%b%d:%d" % (letter, min(len(items), MANY), len(items)))
        for item in items[:MANY]:
            for part in item if kind is dict else (item,):
                encode(part, tokens, most, depth + 1)


def encoded(value):
    """A value as tokens, within a quarter of the longest line."""
    for most in LONG, 20:
        tokens = []
        try:
            encode(value, tokens, most)
        except Exception:  # another thread changes it meanwhile
            break
        if sum(map(len, tokens)) < SLACK // 8:
            return b"\x1f".join(tokens)
    return b"o" + escape(type_name(type(value)))


made = {}  # modules of our own, which `sys.modules` and audit hooks don't show


def built_in(name):
    if name not in made:
        made[name] = create_builtin(Spec(name=name))
        exec_builtin(made[name])
    return made[name]


def bound(handler, args, kwargs):
    """A callable that needs no arguments: a partial of our own type, for the program may have changed its own."""
    if any(type_name(cls) == "functools.partial" for cls in mro_of(type(handler))):
        # A partial of a partial would take the insides of that one out.
        owner = next(dict_of(cls) for cls in mro_of(type(handler)) if "__call__" in dict_of(cls))
        handler = Method(owner["__call__"], handler)
    return built_in("_functools").partial(handler, *args, **kwargs)


def nothing(*args, **kwargs):
    """Does nothing."""


def stub_of(function, call):
    """A Stub that does this when it is called."""
    stub = object.__new__(Stub)
    set_function(stub, function)
    set_call(stub, call)
    return stub
