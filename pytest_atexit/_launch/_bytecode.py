"""Compiles the agent; other interpreters run it by path, with source and target. Standard library only."""

from __future__ import annotations

import os
import py_compile
import shutil
import sys

LEVELS = ("", ".opt-1", ".opt-2")  # what -O and -OO look for
STRIPPED = 2  # without docstrings, at any of these levels: less to load


def compile_agent(source: str, target: str = "") -> None:
    """Write its bytecode into a file or, without a target, to where this interpreter looks for it at each level.

    Its hash is not checked, so no interpreter looks at the source. A folder that PYTHONPYCACHEPREFIX names counts for
    the interpreter that compiles, not for those that look: nothing is written there.
    """
    name = os.path.join(os.path.dirname(source), "__pycache__", f"sitecustomize.{sys.implementation.cache_tag}")
    first, *others = [target] if target else [f"{name}{level}.pyc" for level in LEVELS]
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, first, doraise=True, optimize=STRIPPED, invalidation_mode=mode)
    for other in others:
        shutil.copyfile(first, other)


if __name__ == "__main__":
    compile_agent(*sys.argv[1:])
