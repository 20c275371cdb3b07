"""What travels with a function: found by following names, and written as the text that brings it about again.

Closure variables and globals become globals of one new main module. That is why two objects of one name can't travel
together, and why it doesn't matter where a name was found.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from os import PathLike
from types import CellType, FrameType, FunctionType, ModuleType

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._plain_data import NotPlain, literal
from pytest_atexit._launch._source import MISSING, Definition, Source, unwrapped

# The program is a module of its own: multiprocessing reads its __file__ and __spec__, class bodies its __name__ and,
# for what they annotate, seemingly its __annotations__.
_MODULES_OWN = frozenset(vars(ModuleType("")).keys() | {"__file__", "__cached__", "__builtins__", "__annotations__"})

# What the text itself calls.
_NEEDED = {"exec": exec, "compile": compile, "globals": globals}

# An import whose place in the file isn't known comes after the others.
_LAST = (sys.maxsize, 0)

# The value of a local variable of a function that has returned.
_GONE = object()


class Luggage:
    """A function and all that it uses."""

    def __init__(self, program: FunctionType, source: Source, variables: Mapping[str, object]) -> None:
        """Packs.

        Args:
            program: the function.
            source: the file that it is written in.
            variables: that file's globals.

        Raises:
            LaunchError: something can't travel.
        """
        self._source = source
        self._globals = variables
        self._claims: dict[str, tuple[object, str]] = {
            name: (value, "the code that starts the program") for name, value in _NEEDED.items()
        }
        self._data: dict[str, str] = {}
        self._imports: dict[str, tuple[int, int]] = {}
        self._defined: dict[str, Definition] = {}
        self._makers: dict[Definition, FunctionType | type] = {}
        self._unfollowed: list[Definition] = []
        self.name = self._pack(program)

    def text(self) -> str:
        """Returns the statements after which the function is a global called `name`, with all that it uses."""
        pairs = ", ".join(f"{name!r}: {value}" for name, value in self._data.items())
        data = [f"globals().update({{{pairs}}})"] if pairs else []
        # In the order of the test file, as modules register exit handlers when they are imported.
        imports = sorted(self._imports, key=self._imports.__getitem__)
        definitions = [line for definition in self._in_order() for line in self._lines(definition)]
        # Data comes first, as the names of its types may be among those that the rest defines.
        return "".join(f"{line}\n" for line in (*data, *imports, *definitions))

    def _lines(self, definition: Definition) -> Iterator[str]:
        first_line, line_ends, text = definition.parts
        source = f"{first_line!a} + '\\n' * {line_ends} + {text!a}"
        yield f"exec(compile({source}, {self._source.filename!a}, 'exec', 0, True))"
        for name, other in self._defined.items():
            if other is definition and name != definition.name:
                yield f"{name} = {definition.name}"

    def _in_order(self) -> list[Definition]:
        """Returns the definitions as the test file runs them: from outside in, and from top to bottom.

        What one needs at once, such as a base class, comes before it in any case.
        """
        ordered: dict[Definition, None] = {}
        begun: set[Definition] = set()

        def place(definition: Definition) -> None:
            begun.add(definition)
            for name in definition.early_names & self._defined.keys():
                if self._defined[name] not in begun:
                    place(self._defined[name])
            ordered[definition] = None

        for definition in sorted(self._makers, key=lambda one: (len(one.enclosing), one.first_line)):
            if definition not in begun:
                place(definition)
        return list(ordered)

    def _pack(self, program: FunctionType) -> str:
        found = self._find(program, None)
        if found is None:
            msg = (
                f"{program.__name__} has no def of its own in {self._source.filename}, or the file has changed: "
                "write a def at module level of the test file or in the test"
            )
            raise LaunchError(msg)
        self._take(found[0].name, program, *found)
        while self._unfollowed:
            user = self._unfollowed.pop(0)
            for name in user.names:
                value = self._value(name, user)
                if value is not MISSING and self._claim(name, value, user):
                    self._add(name, value, user)
        return found[0].name

    def _claim(self, name: str, value: object, user: Definition) -> bool:
        """Returns whether the name is new; raises LaunchError if another object has it."""
        is_new = name not in self._claims
        known, first_user = self._claims.setdefault(name, (value, user.where))
        if known is not value:
            msg = (
                f"two different objects are called {name!r}, one in {first_user}, the other in {user.where}, and would "
                "be one global variable of the program: rename one of them"
            )
            raise LaunchError(msg)
        return is_new

    def _add(self, name: str, value: object, user: Definition) -> None:
        try:
            self._data[name] = literal(value)
        except NotPlain as error:
            if imports := self._imports_of(name, value, user):
                self._imports.update(imports)
            elif found := self._find(value, name):
                self._take(name, value, *found)
            else:
                raise _refusal(name, value, str(error), user) from None

    def _take(self, name: str, value: object, definition: Definition, maker: FunctionType | type) -> None:
        self._claim(definition.name, value, definition)
        if isinstance(maker, FunctionType) and "__class__" in maker.__code__.co_freevars:
            msg = f"{definition.where} uses the class around it, by super() or __class__: move it out of the class"
            raise LaunchError(msg)
        self._defined[name] = self._defined[definition.name] = definition
        if definition not in self._makers:
            self._makers[definition] = maker
            self._unfollowed.append(definition)

    def _find(self, value: object, name: str | None) -> tuple[Definition, FunctionType | type] | None:
        """Finds the statement that gives a value which is known by that name, and what that statement made.

        For a decorated function that is the function inside, unless it is known that the statement gives another
        value: then a decorator's inner function travels by itself, and what it has in its closure follows.
        """
        if isinstance(value, type):
            is_ours = value.__module__ == self._globals.get("__name__")
            definition = self._source.of_class(value) if is_ours else None
            return (definition, value) if definition else None
        inner = unwrapped(value)
        if isinstance(inner, FunctionType):
            definition = self._source.of_function(inner)
            if definition and definition.decorated and self._gives(definition, value, name):
                return definition, inner
        if isinstance(value, FunctionType):
            definition = self._source.of_function(value)
            if definition:
                return (definition.undecorated if inner is value else definition), value
        return None

    def _gives(self, definition: Definition, value: object, name: str | None) -> bool:
        """Whether the statement's name holds the value, as far as that is known."""
        if definition.enclosing:
            known = self._local(definition.name, definition.enclosing[0])
        else:
            known = self._globals.get(definition.name, MISSING)
        if known is MISSING or known is _GONE:
            return name in (None, definition.name)
        return known is value

    def _value(self, name: str, user: Definition) -> object:
        """Returns what a name stands for in a definition; MISSING for builtins and what doesn't exist."""
        if name in _MODULES_OWN:
            return MISSING
        cell = self._cells(user).get(name)
        if cell is not None:
            return _content(cell)
        # What a function's body takes from the functions around it is in its closure, and nowhere else.
        owner = None if name in user.body_names else user.owner_of(name)
        if owner is None:
            return self._globals.get(name, MISSING)
        value = self._local(name, owner)
        if value is _GONE:
            msg = (
                f"{name!r}, which {user.where} uses, was a local variable of {owner.name}, which has returned, and "
                "isn't in a closure: move it to module level"
            )
            raise LaunchError(msg)
        return value

    def _local(self, name: str, owner: Definition) -> object:
        """Returns the value of a function's local variable; MISSING if it has none, _GONE if that can't be known."""
        for definition in self._makers:
            cell = self._cells(definition).get(name)
            if cell is not None and definition.owner_of(name) is owner:
                return _content(cell)
        frame = _running(owner)
        return _GONE if frame is None else frame.f_locals.get(name, MISSING)

    def _cells(self, definition: Definition) -> dict[str, CellType]:
        maker = self._makers[definition]
        functions = self._source.methods_of(maker) if isinstance(maker, type) else [maker]
        return {
            name: cell
            for function in functions
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        }

    def _imports_of(self, name: str, value: object, user: Definition) -> dict[str, tuple[int, int]]:
        """Returns the statements that give the value its name, each with its place: the file's own, if it has any."""
        around = set(user.enclosing)
        visible = [found for found in self._source.imports.get(name, ()) if around.issuperset(found.enclosing)]
        found = {found.statement(name): found.order for found in visible if found.gives(value)}
        if found:
            return found
        statement = _import_statement(name, value, self._globals.get("__name__"))
        return {statement: _LAST} if statement else {}


def _import_statement(name: str, value: object, home: object) -> str | None:
    """Returns the statement that imports a module, function or class by what it says of itself, if that is true."""
    if isinstance(value, ModuleType):
        is_known = sys.modules.get(value.__name__) is value
        return f"import {value.__name__} as {name}" if is_known else None
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or module == home:
        return None
    found: object = sys.modules.get(module)
    for attribute in qualname.split("."):
        found = getattr(found, attribute, None)
    first, _, rest = qualname.partition(".")
    statement = f"from {module} import {first} as {name}" + (f"; {name} = {name}.{rest}" if rest else "")
    return statement if found is value else None


def _running(function: Definition) -> FrameType | None:
    """Returns the innermost frame of this thread in which that function runs."""
    frame = inspect.currentframe()
    while frame is not None and not function.made(frame.f_code):
        frame = frame.f_back
    return frame


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _refusal(name: str, value: object, what: str, user: Definition) -> LaunchError:
    if isinstance(value, FunctionType | type):
        instead = (
            "no single def or class statement of the test file makes it; write one, or create it inside the function"
        )
    elif isinstance(value, PathLike):
        instead = f"pass str({name}) as an argument"
    else:
        instead = "pass it as an argument if it is plain data, or create it inside the function"
    return LaunchError(f"{name!r} ({what}), which {user.where} uses, can't travel to another process: {instead}")
