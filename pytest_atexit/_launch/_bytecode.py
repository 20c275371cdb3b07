"""Builds the agent: one file of bytecode out of its sources, which share one namespace.

An import of a part becomes the call that runs it, and imports by a part of the core's names are dropped: they are there
for the reader, for tools, and for an interpreter that has to make do with the sources. Constants are put where they are
used, and what is for other versions of Python is left out. The parts become marshalled code in a constant of the core,
which costs a program nothing until it needs them; those that most programs need are put into the core.

Other interpreters run this file by path, with the core's source and perhaps a target. Standard library only.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import os
import shutil
import sys

LEVELS = ("", ".opt-1", ".opt-2")  # what -O and -OO look for
AT_START = ("registering",)  # what a program needs that imports `atexit` in some way
STRIPPED = 2  # without docstrings, at any of these levels: less to load
HEADER = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + bytes(8)  # PEP 552: a hash of the source that nobody checks


def compile_agent(source: str, target: str = "") -> None:
    """Write its bytecode into a file or, without a target, to where this interpreter looks for it at each level.

    A folder that PYTHONPYCACHEPREFIX names counts for the interpreter that compiles, not for those that look: nothing
    is written there.
    """
    folder = os.path.dirname(source)
    name = os.path.join(folder, "__pycache__", f"sitecustomize.{sys.implementation.cache_tag}")
    first, *others = [target] if target else [f"{name}{level}.pyc" for level in LEVELS]
    os.makedirs(os.path.dirname(first), exist_ok=True)
    core = ast.parse(_text(source))
    listed = next(
        node for node in core.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS"
    )
    names = list(ast.literal_eval(listed.value))
    if sys.implementation.name == "cpython":
        names.remove("on_pypy")  # to read it would cost each start
    parts = {part: ast.parse(_text(os.path.join(folder, f"{part}.py"))) for part in names}
    merge = _Merge({*parts}, _constants([core, *parts.values()]))
    start = next(n for n, node in enumerate(core.body) if isinstance(node, ast.FunctionDef) and node.name == "start")
    core.body[start:start] = [statement for part in AT_START for statement in parts.pop(part).body]
    codes = [_marshalled(merge.visit(tree), f"<pytest-atexit {part}>") for part, tree in parts.items()]
    listed.value = ast.Dict([ast.Constant(part) for part in parts], [ast.Constant(code) for code in codes])
    with open(f"{first}.{os.getpid()}", "wb") as file:
        file.write(HEADER + _marshalled(merge.visit(core), source))
    os.replace(file.name, first)
    for other in others:
        shutil.copyfile(first, other)


def _text(file: str) -> str:
    with open(file, encoding="utf-8") as source:
        return source.read()


def _marshalled(tree: ast.Module, file: str) -> bytes:
    return marshal.dumps(compile(ast.fix_missing_locations(tree), file, "exec", optimize=STRIPPED, dont_inherit=True))


def _constants(trees: list[ast.Module]) -> dict[str, ast.expr]:
    """Returns the values of names in capital letters that stand for numbers."""
    assigned = [node for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    named = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
    return {name: value for name, value in named.items() if name.isupper() and _is_number(value)}


def _is_number(value: ast.expr) -> bool:
    operands = (ast.Constant, ast.BinOp, ast.operator)
    return all(isinstance(node, operands) for node in ast.walk(value))


class _Merge(ast.NodeTransformer):
    def __init__(self, parts: set[str], constants: dict[str, ast.expr]) -> None:
        self._parts = parts
        self._constants = constants

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        if node.module in AT_START:
            return ast.Pass()
        if node.module in self._parts:
            return ast.parse(f"load({node.module!r})").body[0]
        return None if node.module == "sitecustomize" else node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        self.generic_visit(node)
        target = node.targets[0]
        return None if isinstance(target, ast.Name) and target.id in self._constants else node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        version = ast.unparse(node.test).partition("sys.version_info >= ")[2]
        if version:
            chosen = node.body if sys.version_info >= ast.literal_eval(version) else node.orelse
            return [self.visit(statement) for statement in chosen]
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._constants.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


if __name__ == "__main__":
    compile_agent(*sys.argv[1:])
