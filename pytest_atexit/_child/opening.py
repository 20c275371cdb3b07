"""A part of the agent: `subprocess.Popen`, where a test answers for commands (`fp=`).

A command for which the test answers is a real process all the same, a stub: so its pid, pipes, signals and waits are
what they are, here and for asyncio. It says and does what the test has registered: pytest_atexit/_commands/_stub.py.
"""

from asking import (
    ProcessNotRegisteredError,
    ask,
    asker,
    calling_frame,
    found,
    handed_on,
    named,
    names_of,
    raise_told,
    text_of,
    travelling_data,
    travelling_text,
    with_stubs,
)
from commanding import covered, executed
from sitecustomize import modules, pid, sys

BEYOND_HANDLERS = (9, 18, 19)  # SIGKILL, SIGCONT, SIGSTOP: what no process can take for itself


def cover_subprocess(module):
    """Exchange methods of the class itself: subclasses, and names bound elsewhere, are covered too."""
    kind = module.Popen
    if "_pytest_atexit" in kind.__dict__:
        return
    real = {name: kind.__dict__[name] for name in ("__init__", "wait", "poll", "send_signal")}
    code = real["__init__"].__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    positional = names[: code.co_argcount - 1]

    def __init__(self, /, *args, **options):  # noqa: N807, it becomes a method
        given = {**dict(zip(positional, args)), **options}
        if hasattr(given.get("args"), "__next__"):  # it can be gone through only once
            given["args"] = [*given["args"]]
        command = travelling_command(given.get("args"))
        if command is None or len(given) < len(args) + len(options) or not {*given} <= {*names}:
            return real["__init__"](self, *args, **options)  # it raises
        return open_asked(self, real["__init__"], given.pop("args"), command, given)

    def wait(self, timeout=None):
        real["wait"](self, timeout)
        tell_end(self)
        return self.returncode

    def poll(self):
        note = self._pytest_atexit
        if note and note["is_over"] and self.returncode is None:
            real["wait"](self)  # its process is a moment behind
        if real["poll"](self) is not None:
            tell_end(self)
        return self.returncode

    def send_signal(self, sig):
        note = self._pytest_atexit
        if note is None or note["is_real"]:
            return real["send_signal"](self, sig)
        real["poll"](self)  # not later: asyncio waits for the end that this may be, and wants to reap it itself
        code, raised = ask("signal", note["ticket"], int(sig))
        raise_told(raised)
        if code is not None:
            note["is_over"] = True
            if self.returncode is not None:
                self.returncode = code
        elif self.returncode is None and sig in BEYOND_HANDLERS:
            real["send_signal"](self, sig)
        return None

    for method in __init__, wait, poll, send_signal:
        name = method.__name__
        method.__wrapped__ = real[name]  # for `inspect.signature`
        method.__qualname__, method.__module__ = f"Popen.{name}", "subprocess"
        setattr(kind, name, method)
    kind._pytest_atexit = None
    cover_fork_exec(module)


def cover_fork_exec(module):
    """What a copy of `subprocess` calls that the program has made for itself: as if it were one of `os`."""
    covered.append(module.__dict__)
    posixsubprocess = modules.get("_posixsubprocess")
    if posixsubprocess is None or len(covered) > 1:
        return
    real = posixsubprocess.fork_exec

    def fork_exec(args, paths, /, *rest):
        caller = calling_frame()
        if caller is not None and any(caller.f_globals is each for each in covered):
            return real(args, paths, *rest)
        os, entries = modules["os"], rest[3]
        environ = None if entries is None else dict(os.fsdecode(entry).split("=", 1) for entry in entries)
        file, line, environ = executed(args[0] if len(paths) > 1 else paths[0], args, environ, len(paths) > 1)
        entries = [os.fsencode(f"{name}={value}") for name, value in environ.items()]
        paths = [os.fsencode(file)]
        return real([*map(os.fsencode, line)], paths, *rest[:3], entries, *rest[4:])

    posixsubprocess.fork_exec = fork_exec


def travelling_command(args):
    """A command as it travels; None if `Popen` will refuse it."""
    text = travelling_text(args)
    if text is not None:
        return text
    try:
        words = [travelling_text(word) for word in args]
    except TypeError:
        return None
    return None if None in words or not words else tuple(words) if isinstance(args, tuple) else words


def open_asked(popen, real_init, args, command, options):
    """What `Popen(args, **options)` does: asks, and starts a stub, or the real command, or nothing."""
    os = modules["os"]
    names = names_of(command) if type(command) in (list, tuple) else [command]
    is_text = any(options.get(name) for name in ("text", "universal_newlines", "encoding", "errors"))
    encoding = options.get("encoding") or locale_encoding() if is_text else ""
    told = {name: travelling_data(value) for name, value in options.items()}
    caller = calling_frame()  # there is none above a handler
    is_os_popen = caller is not None and caller.f_code is os.popen.__code__
    kind, ticket, *answer = ask("open", asker(), names, encoding, told, is_os_popen)
    if kind == "refused":
        raise ProcessNotRegisteredError(ticket)
    if kind == "shell":  # what it calls will ask
        from shelling import asking_line

        real_init(popen, asking_line(args, os.environ), **options)
        return
    note = popen._pytest_atexit = {"ticket": ticket, "is_real": kind == "pass", "is_over": False, "pid": pid}
    if kind == "pass":
        line, options = passed(command, options, *answer)
        real_init(popen, line or args, **options)
        popen.args = args
        return
    line, note["is_over"], wants_input = answer
    open_stub(popen, real_init, line, options, wants_input)
    popen.args = args


def open_stub(popen, real_init, line, options, wants_input):
    subprocess, signal = modules["subprocess"], modules["_signal"]
    given = {**options, "executable": None, "shell": False, "env": handed_on}
    is_unread = options.get("stdin") == subprocess.PIPE and not wants_input
    if is_unread:
        given["stdin"] = subprocess.DEVNULL
    # A signal may come before the stub can handle it: it inherits this mask, and opens it when it can.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        real_init(popen, line, **given)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if is_unread:  # what is written there goes nowhere, and never fails
        buffering = options.get("bufsize", -1)
        popen.stdin = writer_to_nowhere(popen, buffering)


def writer_to_nowhere(popen, buffering):
    """What `Popen` makes of a pipe."""
    io, by_line = modules["io"], popen.text_mode and buffering == 1
    stream = io.open(modules["os"].devnull, "wb", -1 if by_line else buffering)
    if popen.text_mode:
        encoding = {"encoding": popen.encoding, "errors": popen.errors}
        stream = io.TextIOWrapper(stream, write_through=True, line_buffering=by_line, **encoding)
    return stream


def locale_encoding():
    locale = __import__("_locale")
    return "utf-8" if sys.flags.utf8_mode else locale.nl_langinfo(locale.CODESET)


def passed(command, options, names):
    """For the real command, a line to be executed in its place, if any, and the options.

    What it calls will ask, but for what a shell's command line itself names.
    """
    os, environ = modules["os"], options.get("env")
    environ = os.environ if environ is None else environ
    first = text_of(command[0] if type(command) in (list, tuple) else command)
    options = {**options, "env": with_stubs(environ)}
    if options.get("shell"):
        options["env"]["PYTEST_ATEXIT_PASS"] = ":".join(names)
        return None, options
    real = found(named(first), environ.get("PATH", os.defpath))
    if real is None:
        raise FileNotFoundError(2, os.strerror(2), named(first))
    if options.get("executable") is not None:
        return None, options
    words = [*map(text_of, command)] if type(command) in (list, tuple) else [first]
    folder = options.get("cwd")
    if line := ask("script", pid, words, real, "" if folder is None else os.fsdecode(folder)):
        return line, options
    return None, options if real == first else {**options, "executable": real}


def tell_end(popen):
    """It has ended: tell the test how, and be told how the test sees that, and what its callback has raised."""
    note = popen._pytest_atexit
    if note is None or note["pid"] != pid:  # a forked child can't know
        return
    if "end" not in note:
        note["end"] = ask("ended", note["ticket"], popen.returncode)
        popen.returncode = note["end"][0]
    raise_told(note["end"][1])
