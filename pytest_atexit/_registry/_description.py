"""What a record says of objects of this process: the same as the agent's parts `values` and `failing` in a child."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterator
from types import (
    BuiltinFunctionType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    TracebackType,
)
from typing import Any

from pytest_atexit._events import Frame, Opaque, Raised

LONG = 1000  # characters of a string,
MANY = 100  # items of a container, or frames of a traceback, and
DEEP = 5  # levels of containers and of chained exceptions are recorded
CACHED = type(functools.lru_cache(len))
DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)
dict_of, module_of, mro_of, qualname_of = (
    type.__dict__[name].__get__ for name in ("__dict__", "__module__", "__mro__", "__qualname__")
)
args_of, traceback_of, cause_of, context_of, is_suppressed = (
    BaseException.__dict__[name].__get__
    for name in ("args", "__traceback__", "__cause__", "__context__", "__suppress_context__")
)
OWN_FOLDER = os.path.dirname(__file__) + os.sep
CONTAINERS: tuple[type, ...] = (tuple, list, dict, set, frozenset)


def described(handler: Any) -> tuple[str, str, str]:  # noqa: ANN401, anything that can be called
    """Returns name, module and file of a handler, without asking the handler itself."""
    kind = type(handler)
    if kind is FunctionType:
        # PyPy's built-in functions are of this type, too, and their code is in no file.
        return handler.__qualname__, handler.__module__ or "", getattr(handler.__code__, "co_filename", "")
    if kind is MethodType:
        return described(handler.__func__)
    if kind is BuiltinFunctionType:
        return handler.__qualname__, handler.__module__ or "", ""
    if any(each is type for each in mro_of(kind)):
        return qualname_of(handler), _text(module_of(handler)), ""
    if kind is functools.partial:
        name, module, file = described(handler.func)
        return f"partial({name})", module, file
    if kind is CACHED:
        return described(handler.__wrapped__)
    name = _stored_in_c(handler, "__qualname__") or qualname_of(kind)
    return name, _stored_in_c(handler, "__module__") or _text(module_of(kind)), ""


def _stored_in_c(value: object, name: str) -> str:
    """Returns an attribute that a C descriptor of the type yields, if it is a string."""
    for each in mro_of(type(value)):
        attribute = dict_of(each).get(name)
        if type(attribute) in DESCRIPTORS:
            return _text(attribute.__get__(value))
    return ""


def _text(value: object) -> str:
    return value if type(value) is str else ""


def type_name(kind: type) -> str:
    """Returns "module.Type", without asking a metaclass."""
    return f"{_text(module_of(kind))}.{qualname_of(kind)}".removeprefix(".")


def plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401, anything
    """Returns plain data as it is now, long ones cut and marked; of anything else, the name of its type."""
    kind = type(value)
    if value is None or kind is bool or kind is float or (kind is int and value.bit_length() <= 4 * LONG):
        return value
    if kind is str:
        return value if len(value) <= LONG else f"{value[:LONG]}… ({len(value)} characters)"
    if kind is bytes:
        return value if len(value) <= LONG else value[:LONG] + f"... ({len(value)} bytes)".encode()
    if depth < DEEP and any(kind is each for each in CONTAINERS):  # `in` would ask a metaclass for `==`
        items = list(value.items() if kind is dict else value)
        more = [Opaque(f"<{len(items) - MANY} more>")] if len(items) > MANY else []
        if kind is dict:
            pairs = {plain(key, depth + 1): plain(item, depth + 1) for key, item in items[:MANY]}
            return pairs | {mark: mark for mark in more}
        return kind([*(plain(item, depth + 1) for item in items[:MANY]), *more])
    return Opaque(f"<{type_name(kind)}>")


def caller() -> FrameType | None:
    """Returns the frame that has called a function of `atexit`; those of the import system don't count."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001, there is no other way
    while frame and frame.f_code.co_filename.startswith((OWN_FOLDER, "<frozen importlib.", "<builtin>")):
        frame = frame.f_back
    return frame


def thread_name() -> str:
    """Returns the name of this thread; empty for the main thread."""
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001, makes no thread
    return "" if thread is threading.main_thread() else thread.name if thread else f"thread {threading.get_ident()}"


def raised(error: BaseException, link: str = "", depth: int = 0) -> Iterator[Raised]:
    """Yields an exception and what it came from."""
    kind = type(error)
    yield Raised(
        link=link,
        type=type_name(kind),
        bases=tuple(map(type_name, mro_of(kind)[1:-1])),
        message=_message(error),
        frames=tuple(_frames(traceback_of(error))),
    )
    cause, context = cause_of(error), context_of(error)
    if depth < DEEP and cause is not None:
        yield from raised(cause, "cause", depth + 1)
    elif depth < DEEP and context is not None and not is_suppressed(error):
        yield from raised(context, "context", depth + 1)


def _message(error: BaseException) -> str:
    try:
        return str(plain(str(error)))
    except BaseException:  # noqa: BLE001, whatever the program's own `__str__` does
        return ", ".join(str(plain(arg)) for arg in args_of(error))


def _frames(step: TracebackType | None) -> list[Frame]:
    frames = []
    while step:
        code = step.tb_frame.f_code
        frames.append(Frame(code.co_filename, step.tb_lineno or 0, code.co_name))
        step = step.tb_next
    return frames if len(frames) <= MANY else frames[: MANY // 2] + frames[-MANY // 2 :]
