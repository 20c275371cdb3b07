"""Builds the agent: a file of bytecode, and one of parts, out of its sources, which share one namespace.

An import of a part becomes the call that runs it, and imports by a part of the core's names are dropped: they are there
for the reader, for tools, and for an interpreter that has to make do with the sources. Constants are put where they are
used, local variables get names of one letter, which an interpreter has ready, and what is for other versions of Python
is left out. The parts become marshalled code in a file of their own, which costs a program nothing until it needs them:
the core has its path. Those that most programs need are put into the core.

Other interpreters run this file by path, with the core's source and perhaps a target. Standard library only.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import marshal
import os
import string
import sys
from types import CodeType
from typing import Any

LEVELS = ("", ".opt-1", ".opt-2")  # what -O and -OO look for
FOLDER = "parts"  # beside the core; each file in the core's own folder would cost a start, which lists it
UNBUILT = "unbuilt"  # for an interpreter that has to make do with the sources
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
    target, *others = [target] if target else [f"{name}{level}.pyc" for level in LEVELS]
    os.makedirs(os.path.dirname(target), exist_ok=True)
    core = ast.parse(_text(source))
    names = {file.removesuffix(".py") for file in os.listdir(os.path.join(folder, FOLDER))} - {UNBUILT}
    if sys.implementation.name == "cpython":
        names.discard("on_pypy")
    parts = {part: ast.parse(_text(os.path.join(folder, FOLDER, f"{part}.py"))) for part in sorted(names)}
    merge = _Merge({*parts}, _constants([core, *parts.values()]))
    start = next(n for n, node in enumerate(core.body) if isinstance(node, ast.FunctionDef) and node.name == "start")
    core.body[start:start] = [statement for part in AT_START for statement in parts.pop(part).body]
    codes = {
        part: marshal.dumps(_compiled(merge.visit(tree), f"<pytest-atexit {part}>")) for part, tree in parts.items()
    }
    # Each has its own: another interpreter of this version may compile at the same time, and differently.
    file = f"{target}.{os.getpid()}.codes"
    _write(file, marshal.dumps(codes))
    merge.constants["CODES"] = ast.Constant(file)
    content = HEADER + marshal.dumps(_shortened(_compiled(merge.visit(core), source)))
    for each in (target, *others):
        _write(f"{each}.{os.getpid()}", content)
        os.replace(f"{each}.{os.getpid()}", each)


def _write(file: str, content: bytes) -> None:
    with open(file, "wb") as opened:
        opened.write(content)


def _text(file: str) -> str:
    with open(file, encoding="utf-8") as source:
        return source.read()


def _compiled(tree: ast.Module, file: str) -> CodeType:
    return compile(ast.fix_missing_locations(tree), file, "exec", optimize=STRIPPED, dont_inherit=True)


def _shortened(code: CodeType) -> CodeType:
    """Returns the same with short names of local variables: to read, intern and drop one costs more than a statement.

    Only what is no argument or is never given by keyword may have another name: so it is with all of the core.
    """
    consts = tuple([_shortened(const) if isinstance(const, CodeType) else const for const in code.co_consts])
    new: dict[str, Any] = {"co_consts": consts}
    if code.co_flags & inspect.CO_OPTIMIZED:  # a function
        keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        letters = zip(code.co_varnames, string.ascii_letters, strict=False)
        short = {name: letter for name, letter in letters if name not in (*keywords, *code.co_cellvars)}
        new["co_varnames"] = tuple([short.get(name, name) for name in code.co_varnames])
    if sys.version_info >= (3, 11):
        new["co_qualname"] = code.co_name
    return code.replace(**new)


def _constants(trees: list[ast.Module]) -> dict[str, ast.expr]:
    """Returns the values of names in capital letters that stand for numbers and text."""
    assigned = [node for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    named = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
    return {name: value for name, value in named.items() if name.isupper() and _is_constant(value)}


def _is_constant(value: ast.expr) -> bool:
    operands = (ast.Constant, ast.BinOp, ast.operator)
    return all(isinstance(node, operands) for node in ast.walk(value))


class _Merge(ast.NodeTransformer):
    def __init__(self, parts: set[str], constants: dict[str, ast.expr]) -> None:
        self._parts = parts
        self.constants = constants

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        if node.module in AT_START:
            return ast.Pass()
        if node.module in self._parts:
            return ast.parse(f"load({node.module!r})").body[0]
        return None if node.module == "sitecustomize" else node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        self.generic_visit(node)
        target = node.targets[0]
        return None if isinstance(target, ast.Name) and target.id in self.constants else node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        version = ast.unparse(node.test).partition("sys.version_info >= ")[2]
        if version:
            chosen = node.body if sys.version_info >= ast.literal_eval(version) else node.orelse
            return [self.visit(statement) for statement in chosen]
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.constants.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


if __name__ == "__main__":
    compile_agent(*sys.argv[1:])
