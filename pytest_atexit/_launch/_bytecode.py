"""Makes the agent's bytecode ready; also a program of its own, which other interpreters run by its path.

python -I -S [-O[O]] _bytecode.py FILE
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import os
import sys
import tempfile

STRIPPED = 2  # without docstrings, at any level of optimization: less to load
HEADER = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + bytes(8)  # PEP 552: a hash of the source that nobody checks


def write_bytecode(file: str, optimization: str) -> None:
    """Put the agent's bytecode beside its source, for this interpreter and a level of optimization ("", "1", "2").

    The parts of the agent become marshalled code in its constants, which costs a program nothing until it needs them.
    """
    with open(file, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    for node in ast.walk(_parts(tree)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
            node.value = marshal.dumps(compile(node.value, "<pytest-atexit>", "exec", optimize=STRIPPED))
    code = compile(tree, file, "exec", optimize=STRIPPED, dont_inherit=True)
    target = importlib.util.cache_from_source(file, optimization=optimization)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(target), delete=False) as made:
        made.write(HEADER + marshal.dumps(code))
    os.replace(made.name, target)


def _parts(tree: ast.Module) -> ast.Assign:
    """The statement that holds the parts by name: their texts have several lines, names have one."""
    assignments = (node for node in tree.body if isinstance(node, ast.Assign))
    return next(node for node in assignments if ast.unparse(node.targets[0]) == "PARTS")


if __name__ == "__main__":
    sys.pycache_prefix = None
    write_bytecode(sys.argv[1], str(sys.flags.optimize or ""))
