"""Builds the agent, one file, out of its sources in `_child/`: a core, and parts that run when they are needed.

All of them share one namespace. So an import of a part becomes the call that runs it, and imports by a part of the
core's names are dropped: they are there for the reader, and for tools. Constants are put where they are used.
"""

from __future__ import annotations

import ast
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "_child"
CORE = SOURCES / "sitecustomize.py"


def agent_source() -> str:
    """Returns the agent as one file, without comments."""
    parts = {file.stem: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCES.glob("*.py"))}
    merge = _Merge({*parts} - {CORE.stem}, _constants(list(parts.values())))
    texts = {name: ast.unparse(merge.visit(tree)) for name, tree in parts.items()}
    core = texts.pop(CORE.stem)
    return core.replace("PARTS = {}", f"PARTS = {texts!r}", 1)


def _constants(trees: list[ast.Module]) -> dict[str, ast.expr]:
    """Returns the values of names in capital letters that stand for numbers."""
    assigned = [node for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    named = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
    return {name: value for name, value in named.items() if name.isupper() and name != "PARTS" and _is_number(value)}


def _is_number(value: ast.expr) -> bool:
    operands = (ast.Constant, ast.BinOp, ast.operator)
    return all(isinstance(node, operands) for node in ast.walk(value))


class _Merge(ast.NodeTransformer):
    def __init__(self, parts: set[str], constants: dict[str, ast.expr]) -> None:
        self._parts = parts
        self._constants = constants

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        if node.module in self._parts:
            return ast.parse(f"load({node.module!r})").body[0]
        return None if node.module == CORE.stem else node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        self.generic_visit(node)
        target = node.targets[0]
        return None if isinstance(target, ast.Name) and target.id in self._constants else node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._constants.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
