"""The agent is a program of its own: what it shares with the parent, and what it may use, is held here."""

from __future__ import annotations

import ast
import graphlib
import marshal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pytest_atexit
from pytest_atexit import _journal, _lines
from pytest_atexit._launch import _agent, _bytecode, _moments, _stacks

CORE, UNBUILT = "sitecustomize", "unbuilt"
ON_PYPY = "on_pypy"  # overwrites what is otherwise there
TREES = {file.stem: ast.parse(file.read_text(encoding="utf-8")) for file in _agent.SOURCES.glob("*.py")}
TREE = TREES[CORE]

# In C on CPython, so a plain start has them or they leave no trace; `sitecustomize` is the user's.
MODULES = {"os", "sitecustomize"}
AT_START = {"_codecs", "_imp", "_thread", "_weakref", "builtins", "marshal", "posix", "time"}  # they are there already
ALTERNATIVES = {"always", "calls"}  # several parts define these: the one that was loaded last counts


def constant(name: str) -> object:
    """Returns the value that the agent's source gives a constant."""
    (value,) = [
        node.value
        for node in TREE.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    ]
    return ast.literal_eval(value)


def imports(tree: ast.AST) -> list[tuple[str, list[str]]]:
    """Returns each imported module, with the names that are taken from it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(("." * node.level + (node.module or ""), [alias.name for alias in node.names]))
    return found


def defined(tree: ast.Module) -> set[str]:
    """Returns the names that a file gives to the namespace which all of them share."""
    names = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    branches = [statement for node in tree.body if isinstance(node, ast.If) for statement in (*node.body, *node.orelse)]
    for node in (*tree.body, *branches):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom) and node.module not in TREES:
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            targets = (name for target in node.targets for name in ast.walk(target))
            names |= {name.id for name in targets if isinstance(name, ast.Name)}
    declared = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    return names | declared


@pytest.mark.parametrize(
    ("name", "module"), [("FORMAT", _lines), ("PROGRAM_BITS", _journal), ("STACKS_SIGNAL", _stacks)]
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


def test_agent_and_parent_agree_on_moments() -> None:
    """What a test asks for and what the agent answers is where the other side looks for it."""
    holding = {
        ast.unparse(node.targets[0]): eval(ast.unparse(node.value), {})
        for node in TREES["holding"].body
        if isinstance(node, ast.Assign)
    }
    names = "(OVER, HELD, WHO, NAME)"
    assert holding["SLOT"] == _moments.SLOT
    assert holding[names] == (_moments.OVER, _moments.HELD, _moments.WHO, _moments.NAME)
    assert holding["PAGE"] == (_moments.MOST + 2) * _moments.SLOT  # the first slot, and an empty one behind the last


def test_only_known_modules_are_imported() -> None:
    """The agent imports nothing of ours, and from the standard library only what costs next to nothing."""
    assert {name for name, _ in imports(TREE)} - {*TREES} == MODULES - {CORE}
    for name, tree in TREES.items():
        if name not in (CORE, UNBUILT):
            assert {module for module, _ in imports(tree)} <= {*TREES, "_codecs"}, name
    assert {name for name, _ in imports(TREES[UNBUILT])} == {CORE, "marshal"}


def test_looked_up_modules_are_there() -> None:
    """What the agent looks up instead of importing it, an interpreter has loaded when it starts."""
    nodes = [node for statement in TREE.body if isinstance(statement, ast.Assign) for node in ast.walk(statement)]
    looked_up = [
        node.slice for node in nodes if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "modules"
    ]
    assert {ast.literal_eval(name) for name in looked_up} == AT_START
    command = [sys.executable, "-I", "-S", "-c", "import sys; print(*sys.modules)"]
    loaded = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert {*loaded} >= AT_START


@pytest.mark.parametrize("name", sorted({*TREES} - {UNBUILT}))
def test_parts_share_what_there_is(name: str) -> None:
    """What one file takes from another is defined there: when they are merged, these imports go."""
    for module, names in imports(TREES[name]):
        if module in TREES and (name, module) != (CORE, CORE):
            assert {*names} <= defined(TREES[module]), module


def test_no_file_overwrites_names_of_another() -> None:
    """All files share one namespace."""
    seen: dict[str, str] = {}
    for file, tree in TREES.items():
        if file in (UNBUILT, ON_PYPY):
            continue
        own = {name for name in defined(tree) if not any(name in names for _, names in imports(tree))}
        for name in own - ALTERNATIVES - {"__builtins__"}:
            assert seen.setdefault(name, file) == file, name
    assert len(seen) > 100


def needs() -> dict[str, set[str]]:
    """Returns what each file needs while it is loaded."""
    return {
        name: {node.module for node in tree.body if isinstance(node, ast.ImportFrom)} & {*TREES} - {CORE}
        for name, tree in TREES.items()
    }


def test_what_is_otherwise_on_pypy_is_not_overwritten_in_turn() -> None:
    """What that part overwrites has been loaded by then: nothing puts it back."""
    graph, loaded, waiting = needs(), {CORE}, [ON_PYPY]
    while waiting:
        part = waiting.pop()
        loaded.add(part)
        waiting += graph[part] - loaded
    later = {*TREES} - loaded - {UNBUILT}
    assert later
    assert not functions(ON_PYPY) & {name for file in later for name in functions(file)}
    assert functions(ON_PYPY) & {name for file in loaded - {ON_PYPY} for name in functions(file)}


def functions(file: str) -> set[str]:
    return {node.name for node in TREES[file].body if isinstance(node, ast.FunctionDef)}


def test_parts_are_loaded_in_order() -> None:
    """What a part needs while it is loaded does not need that part in turn."""
    assert {*graphlib.TopologicalSorter(needs()).static_order()} == {*TREES}


def test_parts_are_listed() -> None:
    """For an interpreter that has to make do with the sources: it can't list what lies in an archive."""
    (listed,) = [node.value for node in TREES[UNBUILT].body if ast.unparse(node).startswith("PARTS = ")]
    assert [*ast.literal_eval(listed)] == sorted({*TREES} - {CORE, UNBUILT})


def test_parts_import_the_namespace_at_most_once() -> None:
    """Where no bytecode lies ready, the one statement that does is cut out of a part's text."""
    for name in {*TREES} - {CORE, UNBUILT}:
        text = (_agent.SOURCES / f"{name}.py").read_text(encoding="utf-8")
        assert text.count("from sitecustomize import ") == text.count("\nfrom sitecustomize import ") <= 1, name


def test_arguments_of_the_core_are_given_by_position() -> None:
    """Their names aren't those of the source where bytecode lies ready."""
    core = [node for name in (CORE, *_bytecode.AT_START) for node in ast.walk(TREES[name])]
    taken = {(node.name, arg.arg) for node in core if isinstance(node, ast.FunctionDef) for arg in node.args.args}
    calls = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = {(ast.unparse(call.func), keyword.arg) for call in calls for keyword in call.keywords}
    assert ("registration", "maker") in given
    assert not taken & given


def test_bytecode_holds_all_parts(tmp_path: Path) -> None:
    """The agent is a file of code and one of its parts, whose path it has, with nothing to import in them."""
    agent = _agent.Agent()
    try:
        _bytecode.compile_agent(str(agent.folder / "sitecustomize.py"), str(tmp_path / "agent.pyc"))
    finally:
        agent.close()
    (file,) = tmp_path.glob("*.codes")
    code, codes = marshal.loads((tmp_path / "agent.pyc").read_bytes()[16:]), marshal.loads(file.read_bytes())
    assert str(file) in next(const for const in code.co_consts if getattr(const, "co_name", "") == "start").co_consts
    elsewhere = {CORE, UNBUILT, *_bytecode.AT_START} | ({ON_PYPY} if sys.implementation.name == "cpython" else set())
    assert {*codes} == {*TREES} - elsewhere
    assert not [part for part in codes.values() if "sitecustomize" in marshal.loads(part).co_names]


def test_homes_are_known() -> None:
    """What has a home is defined there."""
    (homes,) = [node.value for node in TREES["homes"].body if ast.unparse(node).startswith("HOMES = ")]
    for name, part in ast.literal_eval(homes).items():
        assert name in defined(TREES[part]), name


def test_no_module_is_imported_by_other_ways() -> None:
    """Modules that are built by hand are built in."""
    calls = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "importlib.import_module" not in {ast.unparse(call.func) for call in calls}
    made = {
        argument.value
        for call in calls
        if ast.unparse(call.func) in ("built_in", "create_builtin", "Spec")
        for argument in (*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "name"))
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert made == {"_functools", "faulthandler", "gc", "itertools"}
    if sys.implementation.name == "cpython":  # PyPy has some of them in Python, and makes do without
        assert made <= {*sys.builtin_module_names}
    extensions = {ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "extension"}
    assert extensions == {"'mmap'", "'_socket'", "'select'"}


def test_parent_does_not_import_the_agent() -> None:
    """The child's code is run by path only."""
    package = Path(pytest_atexit.__file__).parent
    for path in package.rglob("*.py"):
        if path.parent != _agent.SOURCES:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    assert "_child" not in ast.unparse(node), path
