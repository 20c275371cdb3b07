"""A part of the agent: asks the test what becomes of a command, over a connection of its own for each question.

The test's socket has a name without a file (an abstract one): it is found by processes that have closed every
descriptor, have another root folder or are another user. docs/commands.md has what is said.
"""

from sitecustomize import extension, get_ident, getframe, loads, main_thread, modules, monotonic_ns, namespace, pid, sys

handed_on = {}  # our variables, without which a stub can't ask, and a Python is not recorded
test_socket = test_secret = ""
stub_folders = ()  # of executables that stand for commands, first on PATH
socket_module = None


class ProcessNotRegisteredError(Exception):
    # What pytest-subprocess raises, by name: there need be no such package here.
    __module__ = "pytest_subprocess.exceptions"


def prepare_to_ask(environ, ours):
    """Take now what a program may have given up later."""
    global socket_module, stub_folders, test_secret, test_socket
    handed_on.update({name: environ[name] for name in ours if name in environ})
    handed_on.update({name: value for name, value in environ.items() if name[:3] == "LD_"})  # a Python may need them
    test_socket, test_secret, *stub_folders = environ[ours[0]].split(":")
    environ.pop("PYTEST_ATEXIT_ASKER", None)  # that was who has started this program
    socket_module = extension("_socket")


def ask(*request):
    """The test's answer, which is plain data.

    Raises:
        ProcessNotRegisteredError: nobody answers any more.
    """
    line = socket_module.socket(socket_module.AF_UNIX, socket_module.SOCK_STREAM)
    try:
        line.connect("\0" + test_socket)
        line.sendall(ascii((test_secret, *request)).encode() + b"\n")
        data = b""
        while part := line.recv(1 << 16):
            data += part
    except ConnectionError:  # nothing else: what a signal handler raises here is the program's
        data = b""
    finally:
        line.close()
    if not data:
        raise ProcessNotRegisteredError("The test that answered for commands (fp=) is over.")
    return loads(data)


def asker():
    """Who asks: the process, whether this is the thread that runs handlers, and when."""
    return pid, get_ident() == main_thread, monotonic_ns()


def asker_variable():
    """The same for a stub that something else will start, perhaps later."""
    return {"PYTEST_ATEXIT_ASKER": "%d %d %d" % asker()}  # noqa: UP031, it is for three at once


def calling_frame():
    """The frame of the program's code that has called us; None above a handler. PyPy shows none of ours."""
    frame = getframe(0)
    while frame is not None and frame.f_globals is namespace:
        frame = frame.f_back
    return frame


def raise_told(told):
    """Raise what a callback of the test's has raised, if it did: the same, where that type is known here."""
    if told is None:
        return
    module, name, args, text = told
    kind = getattr(modules.get(module), name, None)
    error = RuntimeError(f"{module}.{name}: {text}")
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            error = kind(*args)
        except Exception:  # it is made in another way
            pass
    raise error


# ---- what travels


def travelling_text(value):
    """A word of a command as it travels: text, bytes, or {"path": one of these}; None if it can't be a word."""
    if isinstance(value, str):
        return str.__getitem__(value, slice(None))
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if hasattr(type(value), "__fspath__"):
        return {"path": travelling_text(modules["os"].fspath(value))}
    return None


def text_of(word):
    """What has travelled so, as text."""
    if type(word) is dict:
        word = word["path"]
    return word.decode(sys.getfilesystemencoding(), "surrogateescape") if type(word) is bytes else word


def travelling_data(value, depth=4):
    """An option of `Popen` as the test sees it in `kwargs`: what isn't plain data, by the name of its type."""
    if value is None or type(value) in (bool, int, float):
        return value
    text = travelling_text(value)
    if text is not None:
        return text
    if depth and type(value) in (list, tuple):
        return type(value)([travelling_data(each, depth - 1) for each in value])
    if depth and hasattr(value, "items"):  # an environment
        try:
            return {text_of(travelling_text(key)): travelling_data(each, depth - 1) for key, each in value.items()}
        except Exception:
            pass
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


# ---- names of commands


def named(path):
    """What a path is called: that of a stub stands for another one, or for a name."""
    folder, _, base = path.rpartition("/")
    if folder not in stub_folders:
        return path
    return base.replace("%2F", "/").replace("%25", "%") if "%2F" in base else base


def names_of(command):
    """A command by all names by which it may be registered: who has looked for it on PATH has found a stub."""
    first = text_of(command[0])
    name = named(first)
    if name == first:
        return [command]
    real = found(name)
    return [[each, *command[1:]] for each in (real, name) if each]


def found(name, search_path=None):
    """The path of a command, as without us; None if it is not on PATH."""
    if "/" in name:
        return name
    os = modules["os"]
    if search_path is None:
        search_path = os.environ.get("PATH", os.defpath)
    for folder in os.fsdecode(search_path).split(":"):
        path = f"{folder or '.'}/{name}"
        if folder not in stub_folders and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def with_stubs(environ):
    """An environment in which what is called by name asks, though the program may have cleaned it."""
    search_path = environ.get("PATH", modules["os"].defpath)
    folders = ":".join(stub_folders)
    if not search_path.startswith(folders + ":"):
        search_path = f"{folders}:{search_path}"
    name = "PYTEST_ATEXIT_COMMANDS"
    return {**environ, "PATH": search_path, name: handed_on[name], **asker_variable()}
