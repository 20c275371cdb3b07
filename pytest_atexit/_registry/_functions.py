"""Makes the functions of `atexit` do something else, whoever holds them (docs/registry.md).

In CPython, a built-in function is an object that refers to a C function and to what that gets as its first argument:
the module. Both are exchanged in one write, for a function of the C interface that calls its first argument, and for a
callable of ours. PyPy's functions are Python code, which finds the list of handlers in a dict: there, the list is
exchanged.
"""

from __future__ import annotations

import _imp
import atexit
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from types import BuiltinFunctionType, ModuleType
from typing import Any, Protocol

from pytest_atexit._errors import LaunchError
from pytest_atexit._registry._entries import Entry, Slots

HOLE = (None, None, None)  # what PyPy puts in the place of an entry
NAMES = ("register", "unregister", "_clear", "_ncallbacks", "_run_exitfuncs")
CALLERS = {  # by the flags of a C function: what calls its first argument (or asks it for an item) for the others
    0x01 | 0x02: "PyObject_Call",
    0x80 | 0x02: "PyObject_Vectorcall",
    0x04: "PyObject_CallNoArgs",
    0x08: "PyObject_GetItem",  # PyObject_CallOneArg is none that 3.10 exports
}


class Target(Protocol):
    """Something that the functions act on.

    Attributes:
        passes_on: on the interpreter's own registry as well; for PyPy, whose `unregister` looks at entries itself.
    """

    entries: Slots
    passes_on: bool

    def register(self, func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """As the function; `func` is callable."""

    def unregister(self, func: object) -> None:
        """As the function."""

    def clear(self) -> None:
        """As `_clear`."""

    def count(self) -> int:
        """As `_ncallbacks`."""

    def run(self) -> None:
        """As `_run_exitfuncs`."""


class Hook(ModuleType):
    """What a function of `atexit` calls while it is exchanged; a module, as what it stands for, `__self__`, is one."""

    def __init__(self, action: Callable[..., object]) -> None:
        super().__init__("atexit", atexit.__doc__)
        self.action = action

    def __call__(self, /, *args: object, **kwargs: object) -> object:
        return self.action(*args, **kwargs)

    def __getitem__(self, arg: object) -> object:
        return self.action(arg)


class _CPython:
    """The functions of CPython."""

    def __init__(self) -> None:
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            msg = "without the GIL, built-in functions can't be exchanged while threads may call them"
            raise LaunchError(msg)
        self._exchanges: dict[int, _Exchange] = {}
        self._real: dict[str, Callable[..., Any]] = {}
        self._target: Target | None = None
        self._create = _imp.create_builtin
        for function in gc.get_objects():  # of modules that were imported before, too
            if type(function) is BuiltinFunctionType and function.__module__ == "atexit" and function.__name__ in NAMES:
                self._know(function)

    def _know(self, function: Any) -> _Exchange:  # noqa: ANN401, whatever stands there
        if id(function) not in self._exchanges:
            exchange = _exchange(function, self._act(function))
            self._exchanges[id(function)] = exchange
            self._real[function.__name__] = exchange.real
        return self._exchanges[id(function)]

    def _create_builtin(self, spec: ModuleSpec) -> ModuleType:
        """Stands in for `_imp.create_builtin`: atexit may be imported anew, for somebody has emptied `sys.modules`."""
        module = self._create(spec)
        if spec.name == "atexit" and self._target is not None:
            for name in NAMES:
                self._know(getattr(module, name)).do()
        return module

    def _act(self, function: Any) -> Callable[..., object]:  # noqa: ANN401, whatever stands there
        name = getattr(function, "__name__", "")

        def act(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401, as the function
            target = self._target
            if target is None:  # a thread has called it just before it was put back
                return self._real[name](*args, **kwargs)
            if name == "register":
                if not args or not callable(args[0]):
                    return self._real[name](*args, **kwargs)  # which raises
                target.register(args[0], args[1:], kwargs)
                return args[0]
            if name == "_ncallbacks":
                return target.count()
            if name == "unregister":
                target.unregister(args[0])
            else:
                target.clear() if name == "_clear" else target.run()
            return None

        return act

    def aim(self, target: Target | None) -> None:
        """From now on the functions act on this; on the interpreter's own registry if it is None."""
        for name in NAMES if target else ():
            self._know(getattr(sys.modules.get("atexit", atexit), name))  # it may have been imported anew
        self._target = target
        _imp.create_builtin = self._create if target is None else self._create_builtin
        for exchange in self._exchanges.values():
            exchange.undo() if target is None else exchange.do()

    def call(self, name: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401, as the function
        """Call a function of the interpreter itself."""
        return self._real[name](*args, **kwargs)


class _Exchange:
    """How one function object is, and how it is exchanged.

    Args:
        function: it, which lives as long as this.
        area: its two pointers, to the definition and to the first argument.
        after: what is written there.
        hook: the new first argument.
        real: another function, as this one was.
    """

    def __init__(
        self,
        function: object,
        area: Any,  # noqa: ANN401, an array of ctypes
        after: bytes,
        hook: Hook,
        real: Callable[..., Any],
    ) -> None:
        self._function, self._area, self._before, self._after = function, area, bytes(area.raw), after
        self._hook, self._is_done, self.real = hook, False, real

    def do(self) -> None:
        """Exchange it."""
        if not self._is_done:
            from ctypes import py_object, pythonapi  # noqa: PLC0415, where it isn't needed it isn't loaded

            pythonapi.Py_IncRef(py_object(self._hook))
            self._area.raw, self._is_done = self._after, True

    def undo(self) -> None:
        """Put it back."""
        if self._is_done:
            from ctypes import py_object, pythonapi  # noqa: PLC0415, see above

            self._area.raw, self._is_done = self._before, False
            pythonapi.Py_DecRef(py_object(self._hook))


def _exchange(function: Any, action: Callable[..., object]) -> _Exchange:  # noqa: ANN401, whatever stands there
    """Returns the exchange of a built-in function.

    Raises:
        LaunchError: it is not what it should be.
    """
    try:
        import ctypes  # noqa: PLC0415, where it isn't needed it isn't loaded
    except ImportError as error:
        msg = f"the functions of atexit can't be exchanged without ctypes: {error}"
        raise LaunchError(msg) from error

    class Definition(ctypes.Structure):  # https://docs.python.org/3/c-api/structures.html#c.PyMethodDef
        _fields_ = (
            ("name", ctypes.c_char_p),
            ("function", ctypes.c_void_p),
            ("flags", ctypes.c_int),
            ("doc", ctypes.c_void_p),
        )

    pointers = ctypes.c_void_p * 2  # behind the head of every object; Include/cpython/methodobject.h
    if type(function) is not BuiltinFunctionType:
        msg = f"atexit has {function!r}, which somebody has put in the place of a built-in function"
        raise LaunchError(msg)
    address = id(function) + object.__basicsize__
    definition, module = pointers.from_address(address)
    known = bool(definition) and module == id(function.__self__)
    old = Definition.from_address(definition or 0) if known else Definition()
    if old.name != function.__name__.encode() or old.flags not in CALLERS:
        msg = f"{sys.version}: its built-in functions are not as known, so those of atexit can't be exchanged"
        raise LaunchError(msg)
    caller = ctypes.cast(getattr(ctypes.pythonapi, CALLERS[old.flags]), ctypes.c_void_p).value
    new, hook = Definition(old.name, caller, old.flags, old.doc), Hook(action)
    hook.kept = new  # type: ignore[attr-defined]  # as long as the function may refer to it
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    area = (ctypes.c_char * ctypes.sizeof(pointers)).from_address(address)
    after = bytes(pointers(ctypes.addressof(new), id(hook)))
    return _Exchange(function, area, after, hook, make(definition, function.__self__, function.__module__))


class _PyPy:
    """The functions of PyPy."""

    def __init__(self) -> None:
        self._space: dict[str, Any] = atexit.register.__globals__
        real = self._space.get("atexit_callbacks")
        if type(real) is not list:
            msg = f"{sys.version}: its atexit keeps handlers otherwise than known"
            raise LaunchError(msg)
        self._real: list[tuple[Any, ...]] = real

    def aim(self, target: Target | None) -> None:
        """From now on the functions act on this; on the interpreter's own registry if it is None."""
        self._space["atexit_callbacks"] = self._real if target is None else _Callbacks(target, self._real)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, as the function
        """Call a function of the interpreter itself."""
        real = self._real
        if name == "register":
            real.append((args[0], args[1:], kwargs))
            return args[0]
        now, self._space["atexit_callbacks"] = self._space["atexit_callbacks"], real
        try:
            return getattr(atexit, name)(*args)
        finally:
            self._space["atexit_callbacks"] = now


class _Callbacks:
    """What PyPy's functions take for the list of handlers."""

    def __init__(self, target: Target, real: list[tuple[Any, ...]]) -> None:
        self._target = target
        self._below = real if target.passes_on else []
        self._seen = 0  # entries before those below

    def append(self, callback: tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]) -> None:
        self._target.register(*callback)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self._seen = sys.maxsize
        index = -1
        for index, entry in enumerate(self._target.entries):  # noqa: B007, it counts them, and they may become more
            yield (entry.func, entry.args, entry.kwargs) if entry else HOLE
        self._seen = index + 1
        yield from self._below

    def __setitem__(self, index: int, _: object) -> None:
        if index < self._seen:
            self._target.entries.remove(index)
        else:
            self._below[index - self._seen] = HOLE

    def __delitem__(self, _: slice) -> None:
        self._target.clear()

    def __len__(self) -> int:
        return self._target.count()

    def __reversed__(self) -> Iterator[Entry]:
        self._target.run()
        return iter(())


class Functions:
    """The functions of `atexit`, and what they act on: the last target that came and has not gone."""

    def __init__(self) -> None:
        self._targets: list[Target] = []
        self._lock = threading.RLock()
        self._platform: _CPython | _PyPy | None = None

    def _known(self) -> _CPython | _PyPy:
        if self._platform is None:
            name = sys.implementation.name
            if name not in ("cpython", "pypy"):
                msg = f"atexit can't be given a registry of a test's own on {name}"
                raise LaunchError(msg)
            self._platform = _CPython() if name == "cpython" else _PyPy()
        return self._platform

    def come(self, target: Target) -> None:
        """Act on this.

        Raises:
            LaunchError: that can't be done in this interpreter.
        """
        with self._lock:
            self._known().aim(target)
            self._targets.append(target)

    def go(self, target: Target) -> None:
        """Act on what came before again."""
        with self._lock:
            self._targets = [each for each in self._targets if each is not target]
            self._known().aim(self._targets[-1] if self._targets else None)

    def call(self, name: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401, as the function
        """Call a function of the interpreter itself."""
        return self._known().call(name, *args, **kwargs)


FUNCTIONS = Functions()
