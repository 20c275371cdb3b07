"""A part of the agent: the functions of `os` that execute something, and the import of `subprocess`, with `fp=`.

What they execute is a stub that asks the test, or nothing. Interpreters of Python are executed, for all of this is in
them, too; and shells with a command line, for what they call are stubs. See docs/commands.md.
"""

from asking import (
    ProcessNotRegisteredError,
    ask,
    asker,
    asker_variable,
    calling_frame,
    found,
    handed_on,
    named,
    names_of,
    prepare_to_ask,
    with_stubs,
)
from sitecustomize import function_of, modules, namespace, posix, put, sys

OUR_VARIABLES = "PYTEST_ATEXIT_COMMANDS", "PYTEST_ATEXIT_JOURNAL", "PYTHONPATH"
SHELLS = "sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"
real_functions = {}
covered = []  # the globals of each `subprocess` whose methods are exchanged


class SubprocessFinder:
    # Finds `subprocess` as others would, and has it covered when it has been run.
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "subprocess":
            return None
        for finder in sys.meta_path:
            find = None if finder is SubprocessFinder else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                cover_when_run(spec.loader)
                return spec
        return None


def cover_when_run(loader):
    real = loader.exec_module

    def exec_module(module):
        del loader.exec_module
        real(module)
        from opening import cover_subprocess

        cover_subprocess(module)

    loader.exec_module = exec_module


def cover_commands(os):
    prepare_to_ask(os.environ, OUR_VARIABLES)
    sys.meta_path.insert(0, SubprocessFinder)
    for name in "system", "execv", "execve", "posix_spawn", "posix_spawnp":
        function = getattr(os, name, None)
        if function is None:  # PyPy has no posix_spawn
            continue
        real_functions[name] = function_of(function) if name[:4] == "exec" else function
        put_in_place(name, function, os, posix())
    os._execvpe = asked_execvpe
    imp = __import__("_imp")
    create = imp.create_builtin

    def create_builtin(spec):
        """A program may have `posix` made once more."""
        module = create(spec)
        for name in real_functions if spec.name == "posix" else ():
            setattr(module, name, namespace[f"asked_{name}"])
        return module

    imp.create_builtin = create_builtin
    if "subprocess" in modules:
        from opening import cover_subprocess

        cover_subprocess(modules["subprocess"])


def put_in_place(name, function, *modules):
    """Put a function of ours there, which has the name of the one that it stands for: it may become a handler."""
    ours = namespace[f"asked_{name}"]
    ours.__name__ = ours.__qualname__ = name
    ours.__module__, ours.__doc__ = function.__module__, function.__doc__
    for module in modules:
        setattr(module, name, ours)


# ---- what stands in for functions of `os`; `os.spawnv` and the like fork, and then call these


def asked_system(command):
    from shelling import asking_line

    return real_functions["system"](asking_line(command, modules["os"].environ))


def asked_execv(path, argv, /):
    become_asked(calling_frame(), path, argv)


def asked_execve(path, argv, env):
    become_asked(calling_frame(), path, argv, env)


def asked_execvpe(file, args, env=None):
    """Stands in for what `os.execvp`, `execlp` and the like call."""
    become_asked(calling_frame(), file, args, env, search=True)


def become_asked(frame, path, argv, env=None, search=False):
    executable, line, environ = executed(path, argv, env, search)
    from leaving import note_last_call

    name, given = ("execv", (path, argv)) if env is None else ("execve", (path, argv, env))
    note_last_call(name, frame, given, {})
    try:
        real_functions["execve"](executable, line, environ)
    except BaseException:
        put(b"V\n")
        raise


def asked_posix_spawn(path, argv, env=None, /, **options):
    caller = calling_frame()  # there is none above a handler
    if caller is not None and any(caller.f_globals is each for each in covered):  # it has been asked for already
        return real_functions["posix_spawn"](path, argv, env, **options)
    return real_functions["posix_spawn"](*executed(path, argv, env), **options)


def asked_posix_spawnp(path, argv, env=None, /, **options):
    return real_functions["posix_spawn"](*executed(path, argv, env, search=True), **options)


def executed(path, argv, env, search=False):
    """The executable, command line and environment that are executed: those of a stub, or what was given.

    Raises:
        ProcessNotRegisteredError: it is not registered.
    """
    os = modules["os"]
    file = os.readlink(f"/proc/self/fd/{path}") if type(path) is int else os.fsdecode(path)
    line, environ = [os.fsdecode(word) for word in argv], os.environ if env is None else env
    search_path = environ.get("PATH", os.defpath) if search else ""
    name = named(file)
    real = found(name, search_path) or name
    if os.path.basename(name) in SHELLS and os.path.basename(os.path.realpath(real)) in SHELLS:
        if len(line) > 2 and line[1] == "-c":
            from shelling import asking_line

            line[2] = asking_line(line[2], environ)
            return real, line, environ
    names = names_of([file, *line[1:]])
    if line and line[0] and "/" not in line[0] and line[0] != name:
        names.append(line)
    kind, answer = ask("execute", asker(), names, facts_of(real, environ), real)
    if kind == "refused":
        raise ProcessNotRegisteredError(answer)
    if kind == "pass":
        environ = with_stubs(environ)
        if answer:  # a shell, in which all that its script calls asks
            return found(answer[0]) or answer[0], answer, environ
        return path if type(path) is int else real, argv, environ
    return answer, [answer, *line[1:]], {**environ, **handed_on, **asker_variable()}


def facts_of(path, environ):
    """By what the test knows whether this is a Python in which all of this will be, too."""
    real = modules["os"].path.realpath
    executable = real(path)
    if executable == real(sys.executable):  # whatever that is called
        executable = "python"
    return executable, environ.get("PYTEST_ATEXIT_JOURNAL", ""), environ.get("PYTHONPATH", "")
