"""A Python file as data: its definitions, each with the names that it loads, and its import statements.

A definition can be taken out of its file and compiled alone, at the line numbers that it has there. Alone, the local
variables of the functions around it are global names; the bytecode of that compilation tells which names it loads,
when, and where from.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import functools
import importlib.util
import inspect
import linecache
import os
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FunctionType

from pytest_atexit._errors import LaunchError

Statement = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

MISSING = object()

# Those with which bytecode reads a name that is no local variable; deleting one fails where there is none.
_LOADS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_GLOBAL"})

# What Python 3.15's `lazy import` binds, until the name is first used.
_LAZY: tuple[type, ...] = (types.LazyImportType,) if hasattr(types, "LazyImportType") else ()

# Where the descriptors that stand for a function in a class keep it.
_BEHIND: dict[type, tuple[str, ...]] = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    functools.cached_property: ("func",),
}


@dataclass(frozen=True, eq=False)
class Definition:
    """A `def` or `class` statement.

    Attributes:
        enclosing: the functions around it, innermost first; empty at module level, also inside a class.
        bare: it stands for the function without its decorators.
    """

    source: Source
    node: Statement
    qualname: str
    enclosing: tuple[Definition, ...]
    bare: bool = False

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def where(self) -> str:
        return f"{self.name} ({self.source.filename}:{self.node.lineno})"

    @property
    def decorated(self) -> bool:
        return bool(self.node.decorator_list) and not self.bare

    @functools.cached_property
    def first_line(self) -> int:
        """The line of its first `@`, or of its `def` or `class`."""
        if not self.decorated:
            return self.node.lineno
        line = self.node.decorator_list[0].lineno
        # The expression may be in parentheses that were opened on an earlier line than its own.
        while not self.source.lines[line - 1].lstrip().startswith("@"):
            line -= 1
        return line

    @property
    def last_line(self) -> int:
        return self.node.end_lineno or self.node.lineno

    @property
    def undecorated(self) -> Definition:
        return self._bare if self.decorated else self

    @functools.cached_property
    def _bare(self) -> Definition:
        return dataclasses.replace(self, bare=True)

    def spans(self, line: int) -> bool:
        return self.first_line <= line <= self.last_line

    @property
    def parts(self) -> tuple[str, int, str]:
        """Its file with all else taken out: the first line, the number of line ends after it, the text after these."""
        text = "".join(self.source.lines[self.first_line - 1 : self.last_line])
        line_ends = self.first_line - 1
        if self.node.col_offset:
            # It keeps its indentation, for the sake of strings over many lines, and so needs a block around it. The
            # line above is free: an indented statement has at least the head of its own block above itself.
            text = "if True:\n" + text
            line_ends -= 1
        return self.source.future_import, line_ends, text

    @functools.cached_property
    def _module_code(self) -> CodeType:
        first_line, line_ends, text = self.parts
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python gave them when it compiled the file itself.
                whole = first_line + "\n" * line_ends + text
                # Unoptimized: a child without -O runs the asserts that a parent with -O leaves out.
                return compile(whole, self.source.filename, "exec", dont_inherit=True, optimize=0)
        except SyntaxError as error:
            msg = f"{self.where} changes the function around it ({error.msg}): use a list, a dict or a global variable"
            raise LaunchError(msg) from None

    @functools.cached_property
    def _body_code(self) -> CodeType:
        return next(code for code in _walk(self._module_code) if code.co_name == self.name)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """All names that it or anything inside it loads from outside, those of builtins too."""
        return tuple(dict.fromkeys(name for code in _walk(self._module_code) for name in _loaded(code)))

    @functools.cached_property
    def early_names(self) -> frozenset[str]:
        """Those that are loaded when the statement itself runs: decorators, base classes, defaults, class bodies."""
        return frozenset(_loaded_at_once(self._module_code))

    @functools.cached_property
    def body_names(self) -> frozenset[str]:
        """Those that a function's body loads, once it is called; of a class none."""
        if isinstance(self.node, ast.ClassDef):
            return frozenset()
        return frozenset(name for code in _walk(self._body_code) for name in _loaded(code))

    @functools.cached_property
    def local_names(self) -> frozenset[str]:
        """A function's local variables."""
        return frozenset(self._body_code.co_varnames + self._body_code.co_cellvars)

    def owner_of(self, name: str) -> Definition | None:
        """Returns the enclosing function whose local variable a name is, seen from here; None for a global name."""
        return next((outer for outer in self.enclosing if name in outer.local_names), None)

    def made(self, code: CodeType) -> bool:
        """Whether that code is this function's."""
        lines = {self.node.lineno, *(decorator.lineno for decorator in self.node.decorator_list[:1])}
        return self.source.has(code) and code.co_name == self.name and code.co_firstlineno in lines


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds.

    Attributes:
        module: absolute.
        attribute: what is taken from the module; None for `import module`.
        renamed: whether it has an `as`.
        enclosing: the functions around it, innermost first.
        order: when it runs, compared with others: first those at module level, from top to bottom.
    """

    module: str
    attribute: str | None
    renamed: bool
    enclosing: tuple[Definition, ...]
    order: tuple[int, int]

    def gives(self, value: object) -> bool:
        """Whether the statement, run in this process now, would bind its name to that very object."""
        if isinstance(value, _LAZY):
            return True
        if self.attribute is None:
            name = self.module if self.renamed else self.module.partition(".")[0]
            return sys.modules.get(name, MISSING) is value
        submodule = sys.modules.get(f"{self.module}.{self.attribute}", MISSING)
        return getattr(sys.modules.get(self.module), self.attribute, submodule) is value

    def statement(self, name: str) -> str:
        """Returns the statement that binds that name."""
        if self.attribute is None:
            return f"import {self.module}" + (f" as {name}" if self.renamed else "")
        return f"from {self.module} import {self.attribute} as {name}"


@dataclass(eq=False)
class Source:
    """The definitions and imports of one Python file, whose text is `lines`."""

    filename: str
    lines: tuple[str, ...]
    package: str
    future_import: str = ""
    imports: dict[str, list[Import]] = field(default_factory=dict)
    _functions: list[Definition] = field(default_factory=list)
    _classes: list[Definition] = field(default_factory=list)

    def __post_init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python gave them when it compiled the file itself.
            self._index(ast.parse("".join(self.lines)), "", ())

    def has(self, code: object) -> bool:
        # PyPy's builtin functions are functions too, with a code of another type.
        return isinstance(code, CodeType) and code.co_filename == self.filename

    def of_function(self, function: FunctionType) -> Definition | None:
        """Returns the statement that a function's code was compiled from."""
        return next((definition for definition in self._functions if definition.made(function.__code__)), None)

    def of_class(self, cls: type) -> Definition | None:
        """Returns the statement that made a class; None also where several could have."""
        line = vars(cls).get("__firstlineno__")  # Since Python 3.13; before, the lines of its methods must do.
        lines = [line] if line else [method.__code__.co_firstlineno for method in self.methods_of(cls)]
        found = [definition for definition in self._classes if definition.qualname == cls.__qualname__]
        found = [definition for definition in found if all(map(definition.spans, lines))]
        return found[0] if len(found) == 1 else None

    def methods_of(self, cls: type) -> Iterator[FunctionType]:
        """Yields the functions behind a class's own methods and properties, as far as this file has them."""
        for member in vars(cls).values():
            attributes = _BEHIND.get(type(member))
            for part in [getattr(member, name) for name in attributes] if attributes else [member]:
                function = unwrapped(part)
                if isinstance(function, FunctionType) and self.has(function.__code__):
                    yield function

    def _index(self, parent: ast.AST, prefix: str, enclosing: tuple[Definition, ...]) -> None:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, Statement):
                definition = Definition(self, node, prefix + node.name, enclosing)
                self._index_definition(definition)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._index_import(node, enclosing)
            elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
                self._index(node, prefix, enclosing)

    def _index_definition(self, definition: Definition) -> None:
        node, qualname, enclosing = definition.node, definition.qualname, definition.enclosing
        if isinstance(node, ast.ClassDef):
            self._classes.append(definition)
            self._index(node, f"{qualname}.", enclosing)
        else:
            self._functions.append(definition)
            self._index(node, f"{qualname}.<locals>.", (definition, *enclosing))

    def _index_import(self, node: ast.Import | ast.ImportFrom, enclosing: tuple[Definition, ...]) -> None:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            self.future_import += ast.unparse(node) + ";"
            return
        for alias in node.names:
            module, attribute = alias.name, None
            name = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.ImportFrom):
                module, attribute = self._absolute(node), alias.name
            found = Import(module, attribute, alias.asname is not None, enclosing, (len(enclosing), node.lineno))
            self.imports.setdefault(name, []).append(found)

    def _absolute(self, node: ast.ImportFrom) -> str:
        relative = "." * node.level + (node.module or "")
        return importlib.util.resolve_name(relative, self.package) if self.package else relative


def source_of(function: FunctionType) -> Source | None:
    """Returns the file that a function was written in; None where there is none, or not that file any more."""
    filename = function.__code__.co_filename
    # A terminal's input has lines too, but no file that a traceback of the child could show.
    if not os.path.isfile(filename):
        return None
    linecache.checkcache(filename)
    lines = tuple(linecache.getlines(filename, function.__globals__))
    try:
        return _read(filename, lines, function.__globals__.get("__package__") or "")
    except SyntaxError:
        return None


@functools.lru_cache(maxsize=16)
def _read(filename: str, lines: tuple[str, ...], package: str) -> Source:
    return Source(filename, lines, package)


def unwrapped(value: object) -> object:
    """Returns what `functools.wraps` and the like say is inside, or the value itself."""
    while "__wrapped__" in getattr(value, "__dict__", ()):
        value = vars(value)["__wrapped__"]
    return value


def _walk(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _walk(constant)


def _loaded(code: CodeType) -> Iterator[str]:
    """Yields the names that this code object itself loads from outside."""
    bound = set()  # A class body that binds a name before it reads it, reads its own.
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_NAME":
            bound.add(instruction.argval)
        elif instruction.opname in _LOADS and instruction.argval not in bound:
            yield instruction.argval


def _loaded_at_once(code: CodeType) -> Iterator[str]:
    if code.co_flags & inspect.CO_OPTIMIZED:
        return  # A function: it runs later, if at all.
    yield from _loaded(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _loaded_at_once(constant)
