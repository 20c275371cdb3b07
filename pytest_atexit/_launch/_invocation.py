"""What to start: a program of one of the four forms, made into a command line, an environment and a folder."""

from __future__ import annotations

import inspect
import os
import shlex
import shutil
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import IO, TypeAlias, cast

from pytest_atexit._ending import Ending, as_ending, source_of
from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._function import program_text
from pytest_atexit._launch._python import python_line

Program: TypeAlias = "str | Callable[..., object] | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
Stdin: TypeAlias = "str | bytes | IO[str] | IO[bytes] | None"

PACKAGE = str(Path(__file__).parents[1]) + os.sep


@dataclass(frozen=True)
class Options:
    """What a test may say about how a program is run.

    Attributes:
        env: laid over the parent's environment; None removes a name.
        cwd: None is the parent's.
        stdin: empty by default, never the terminal.
        python: another interpreter.
        python_args: flags for it.
        as_pid1: as the first process of a PID namespace.
    """

    env: Mapping[str, str | None] | None = None
    cwd: str | os.PathLike[str] | None = None
    stdin: Stdin = None
    python: str | os.PathLike[str] | None = None
    python_args: Sequence[str] = ()
    as_pid1: bool = False


@dataclass(frozen=True)
class Invocation:
    """A command line, ready to be started.

    Attributes:
        argv: the command line; its first item is a path.
        env: the whole environment without our own variables.
        inherited: that of the tests, of which it was made.
        cwd: the working folder.
        folder: the run's folder.
        python: the interpreter that is known to run it, or None for a command line of the user's.
        is_python: the process itself is a Python, so it must be recorded.
        script: what the interpreter is given to run, None for a command line of the user's.
        flags: what it is given before that.
        is_text: the program was source text or a function.
        import_paths: what is appended to the program's `sys.path`.
        ending: a line of Python to run at the end of the main module, for a path.
        asked: the ending that the test asked for, however it comes about.
        as_pid1: as the first process of a PID namespace.
        answered: variables by which commands are answered for.
        executed: what is executed in place of `argv` then, if anything else.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    inherited: dict[str, str]
    cwd: str
    folder: Path
    python: str | None = None
    is_python: bool = False
    script: str | None = None
    flags: tuple[str, ...] = ()
    is_text: bool = False
    import_paths: tuple[str, ...] = ()
    ending: str = ""
    asked: Ending | None = None
    as_pid1: bool = False
    answered: Mapping[str, str] = field(default_factory=dict)
    executed: tuple[str, ...] = ()

    @property
    def hides_bytecode(self) -> bool:
        """Whether the interpreter may look for bytecode elsewhere than beside the source."""
        return bool(self.env.get("PYTHONPYCACHEPREFIX")) or any("pycache_prefix" in arg for arg in self.argv)

    @property
    def shell_line(self) -> str:
        """A shell line that runs it again, without the agent."""
        changed = {key: value for key, value in self.env.items() if self.inherited.get(key) != value}
        removed = [f"-u {shlex.quote(key)}" for key in self.inherited if key not in self.env]
        parts = [*removed, *(f"{key}={shlex.quote(value)}" for key, value in changed.items())]
        if self.import_paths:
            before = self.env.get("PYTHONPATH", "").split(os.pathsep)
            paths = os.pathsep.join(dict.fromkeys(filter(None, [*before, *self.import_paths])))
            parts = [part for part in parts if not part.startswith("PYTHONPATH=")] + [
                f"PYTHONPATH={shlex.quote(paths)}"
            ]
        prefix = ["env", *parts] if parts else []
        move = [f"cd {shlex.quote(self.cwd)} &&"] if self.cwd != _current_folder() else []
        first = ["unshare --fork --pid --mount-proc"] if self.as_pid1 else []
        return " ".join([*move, *first, *prefix, shlex.join(self.argv)])


def invocation(program: Program, args: Sequence[object], options: Options, ending: object, folder: Path) -> Invocation:
    """Returns how to start a program.

    Raises:
        LaunchError: there is no such file, folder, interpreter or ending, or a function can't travel.
    """
    inherited = dict(os.environ)
    env = _environment(inherited, options.env or {})
    cwd = _folder(options.cwd)
    if isinstance(options.python_args, str):
        msg = f"python_args is a list of flags, such as [{options.python_args!r}], and no text"
        raise LaunchError(msg)
    wanted = None if ending is None else as_ending(ending)
    made = partial(Invocation, env=env, inherited=inherited, cwd=cwd, folder=folder, as_pid1=options.as_pid1)
    if isinstance(program, (list, tuple)):
        return _command_line(program, args, options, wanted, made)
    python, flags = interpreter(options.python, env), tuple(options.python_args)
    made = partial(made, python=python, is_python=True, flags=flags, asked=wanted)
    if isinstance(program, os.PathLike):
        path = os.path.abspath(os.path.join(cwd, os.fspath(program)))
        if not os.path.exists(path):
            raise LaunchError(f"there is no file {path}{_hint(program, options)}")
        line = source_of(wanted) if wanted else ""
        return made(argv=(python, *flags, path, *_texts(args)), script=path, ending=line)
    if isinstance(program, str):
        if "\n" not in program and program.endswith((".py", ".pyz")):
            command = f"; to run a command, {program.split()}" if len(program.split()) > 1 else ""
            raise LaunchError(f"a str is source text; to run the file, pass pathlib.Path({program!r}){command}")
        text, rest = textwrap.dedent(program), _texts(args)
    elif callable(program):
        text, rest = program_text(program, args), ()
    else:
        msg = f"a program is source text, a function, a path or a list, not {type(program).__name__}"
        raise LaunchError(msg)
    file = folder / "program.py"
    try:
        file.write_text(with_ending(text, wanted), encoding="utf-8", errors="surrogatepass")
    except OSError as error:
        msg = f"the program can't be saved (see TMPDIR): {error}"
        raise LaunchError(msg) from error
    argv = python, *flags, str(file), *rest
    return made(argv=argv, script=str(file), is_text=True, import_paths=import_paths())


def _hint(program: os.PathLike[str], options: Options) -> str:
    """Returns where a file was looked for that isn't there, and whether the test has it beside itself."""
    given = os.fspath(program)
    if os.path.isabs(given):
        return ""
    where = "the folder of cwd=" if options.cwd is not None else "the tests' working folder"
    caller = inspect.currentframe()
    while caller and caller.f_code.co_filename.startswith(PACKAGE):
        caller = caller.f_back
    is_beside = caller and os.path.exists(os.path.join(os.path.dirname(caller.f_code.co_filename), given))
    beside = f"; beside the test file there is one: Path(__file__).parent / {given!r}" if is_beside else ""
    return f" (a relative path begins in {where}{beside})"


def with_ending(text: str, ending: Ending | None) -> str:
    """Returns a program that ends itself this way behind its last statement."""
    line = source_of(ending) if ending else ""
    return f'{text.rstrip()}\nif __name__ == "__main__":\n    {line}\n' if line else text


def interpreter(python: str | os.PathLike[str] | None, env: Mapping[str, str]) -> str:
    """Returns the path of an interpreter, by default our own.

    Raises:
        LaunchError: there is none.
    """
    if python is None or python == sys.executable:
        return sys.executable
    found = shutil.which(os.fspath(python), path=env.get("PATH"))
    if found is None:
        msg = f"there is no interpreter {os.fspath(python)!r} that can be executed"
        raise LaunchError(msg)
    return os.path.abspath(found)


def import_paths() -> tuple[str, ...]:
    """Returns what `sys.path` has beyond the interpreter's own folders: from there a test can import, too."""
    here = _current_folder()
    entries = dict.fromkeys(os.path.normpath(os.path.join(here, entry)) for entry in sys.path)
    return tuple(
        entry
        for entry in entries
        if os.path.isabs(entry)
        and os.path.basename(entry) not in ("site-packages", "dist-packages")
        and not _is_own(entry)
        and os.path.exists(entry)
    )


@cache
def _is_own(entry: str) -> bool:
    """Whether that is a folder of the interpreter's own, or below one. To resolve links takes longer than all else."""
    return (os.path.realpath(entry) + os.sep).startswith(_own_folders())


@cache
def _own_folders() -> tuple[str, ...]:
    """Returns the interpreter's own folders."""
    schemes = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(os.path.realpath(path) + os.sep for path in schemes if path)


def _command_line(
    command: Sequence[object],
    args: Sequence[object],
    options: Options,
    ending: Ending | None,
    made: partial[Invocation],
) -> Invocation:
    if ending is not None:
        msg = f"ending={str(ending)!r} can't be applied to a command line: give the program as a path, text or function"
        raise LaunchError(msg)
    if options.python_args:
        msg = "python_args can't be applied to a command line: write them into it"
        raise LaunchError(msg)
    if not command:
        msg = "the command line is empty"
        raise LaunchError(msg)
    env, cwd = made.keywords["env"], made.keywords["cwd"]
    texts = _texts([*command, *args])
    executable = _find(texts[0], interpreter(options.python, env), env, cwd)
    is_python = python_line(executable) is not None
    python = executable if is_python and Path(executable).name.startswith(("python", "pypy")) else None
    return made(argv=(executable, *texts[1:]), python=python, is_python=is_python)


def _find(name: str, python: str, env: Mapping[str, str], cwd: str) -> str:
    """Returns the path of a command: a bare name is looked for beside the interpreter, then on PATH."""
    if os.path.dirname(name):
        path = os.path.join(cwd, name)
        found = path if os.access(path, os.X_OK) and os.path.isfile(path) else None
    else:
        found = shutil.which(name, path=os.path.dirname(python)) or shutil.which(name, path=env.get("PATH"))
    if found is None:
        there = ": it is there, but not executable" if os.path.isfile(os.path.join(cwd, name)) else ""
        msg = f"there is no command {name!r} that can be executed{there}"
        raise LaunchError(msg)
    return os.path.abspath(found)


def _environment(inherited: dict[str, str], changes: object) -> dict[str, str]:
    if not isinstance(changes, Mapping):
        msg = f"env is a mapping of names to values, not {type(changes).__name__}"
        raise LaunchError(msg)
    for key, value in changes.items():
        if not isinstance(key, str) or not isinstance(value, (str, type(None))):
            msg = f"env holds text, or None to remove a name, not {key!r}: {value!r}"
            raise LaunchError(msg)
        if not key or "=" in key or "\0" in key + (value or ""):
            msg = f"env can't hold {key!r}: {value!r}"
            raise LaunchError(msg)
    return {key: value for key, value in {**inherited, **changes}.items() if value is not None}


def _folder(cwd: str | os.PathLike[str] | None) -> str:
    here = _current_folder()
    if here and cwd is None:
        return here
    path = os.path.normpath(os.path.join(here, os.fspath(cwd or "")))
    if not os.path.isabs(path):
        msg = "the working folder of the tests was removed: give the program one with cwd="
        raise LaunchError(msg)
    if not os.path.isdir(path):
        msg = f"cwd: {path} is no folder" if os.path.exists(path) else f"there is no folder {path} (cwd)"
        raise LaunchError(msg)
    return path


def _current_folder() -> str:
    """Returns the working folder; empty if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _texts(args: Sequence[object]) -> tuple[str, ...]:
    """Returns command-line arguments as text."""
    for arg in args:
        if not isinstance(arg, (str, int, float, os.PathLike)):
            msg = f"a command-line argument is text, a number or a path, not {type(arg).__name__}: {arg!r}"
            raise LaunchError(msg)
        if "\0" in str(arg):
            msg = f"a command-line argument can't hold a NUL character: {arg!r}"
            raise LaunchError(msg)
    return tuple(os.fspath(cast("os.PathLike[str]", arg)) if isinstance(arg, os.PathLike) else str(arg) for arg in args)
