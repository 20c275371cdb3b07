"""The agent is a program of its own: what it shares with the parent, and what it may use, is held here."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pytest_atexit
from pytest_atexit import _journal
from pytest_atexit._launch import _stacks

AGENT = Path(pytest_atexit.__file__).parent / "_child" / "sitecustomize.py"
SOURCE = AGENT.read_text(encoding="utf-8")
TREE = ast.parse(SOURCE)

# In C on CPython, so a plain start has them or they leave no trace; `sitecustomize` is the user's.
MODULES = {"_codecs", "_imp", "_thread", "_weakref", "builtins", "mmap", "os", "sitecustomize", "sys", "time"}
OWN_NAMES = {"__file__"}  # of the module


def constant(name: str) -> object:
    """Returns the value that the agent's source gives a constant."""
    (value,) = [
        node.value
        for node in TREE.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    ]
    return ast.literal_eval(value)


def imports() -> list[tuple[str, list[str]]]:
    """Returns each imported module, with the names that are taken from it."""
    found = []
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(("." * node.level + (node.module or ""), [alias.name for alias in node.names]))
    return found


@pytest.mark.parametrize(
    ("name", "module"), [("FORMAT", _journal), ("PROGRAM_BITS", _journal), ("STACKS_SIGNAL", _stacks)]
)
def test_constants_of_both_sides_are_equal(name: str, module: ModuleType) -> None:
    """What both sides must know is the same on both."""
    assert constant(name) == getattr(module, name)


def test_windows_of_a_program_fit_into_its_addresses() -> None:
    """The parts of the journal that are mapped lie within a program's range, and that within a process's."""
    bits, whole, window = constant("PROGRAM_BITS"), constant("PROCESS_BITS"), _number("WINDOW")
    assert isinstance(bits, int)
    assert isinstance(whole, int)
    assert window < 1 << bits < 1 << whole
    assert 1 << 22 << whole <= _journal.SIZE  # the largest pid of Linux


def _number(name: str) -> int:
    (text,) = [
        ast.unparse(n.value) for n in TREE.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name
    ]
    base, _, shift = text.partition(" << ")
    return int(base) << int(shift or 0)


def test_only_known_modules_are_imported() -> None:
    """The agent imports nothing of ours, and from the standard library only what costs next to nothing."""
    assert {name for name, _ in imports()} == MODULES


def test_no_module_is_imported_by_other_ways() -> None:
    """Modules whose name is computed are the two for sub-interpreters, and those built by hand are built in."""
    calls = [node for node in ast.walk(TREE) if isinstance(node, ast.Call)]
    named = {ast.unparse(c.func): c for c in calls}
    assert "importlib.import_module" not in named
    made = {a.value for c in calls if ast.unparse(c.func) == "built_in" for a in c.args if isinstance(a, ast.Constant)}
    assert made
    assert made <= set(sys.builtin_module_names) & {"_functools", "faulthandler", "itertools"}


def test_all_builtins_are_bound_early() -> None:
    """Each builtin name that the agent uses is imported from `builtins`, for a program may delete or replace them."""
    bound = {name for module, names in imports() if module == "builtins" for name in names}
    used = {name for name in global_names(symtable.symtable(SOURCE, str(AGENT), "exec")) if hasattr(builtins, name)}
    assert used - bound - OWN_NAMES == set()
    assert len(used) > 30


def test_no_builtin_is_bound_for_nothing() -> None:
    """Each binding costs at every start."""
    (names,) = [names for module, names in imports() if module == "builtins"]
    loaded = {node.id for node in ast.walk(TREE) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert set(names) - loaded == set()
    assert names == sorted(names, key=lambda name: (not name[0].isupper(), name))


def global_names(table: symtable.SymbolTable) -> set[str]:
    """Returns the names that a scope and those in it look up in the module or in `builtins`."""
    module = table.get_type() == "module" or str(table.get_type()).endswith("MODULE")
    found = {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced() and (module or symbol.is_global())
    }
    for child in table.get_children():
        found |= global_names(child)
    return found


def test_implicit_lookups_of_builtins_are_known() -> None:
    """`import`, `class` and `assert` look into builtins by themselves; after the start none of them is met."""
    late = [
        node
        for function in ast.walk(TREE)
        if isinstance(function, ast.FunctionDef) and not function.name.startswith(("start", "define_"))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.Assert, ast.With))
    ]
    assert [ast.unparse(node)[:60] for node in late] == []


def test_parent_does_not_import_the_agent() -> None:
    """The child's code is run by path only."""
    package = Path(pytest_atexit.__file__).parent
    for path in package.rglob("*.py"):
        if path != AGENT:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    assert "_child" not in ast.unparse(node), path
