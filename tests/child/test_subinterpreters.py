"""Handlers belong to the interpreter that registered them, and are in the record of its process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_atexit import ExitResult

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]


def test_sub_interpreters_are_told_apart(recorded: Recorded) -> None:
    """Handlers of a sub-interpreter are in their process's record, with the interpreter's number."""
    result = recorded("""
        import atexit, sys
        if sys.version_info >= (3, 13):
            import _interpreters as interpreters
        else:
            import _xxsubinterpreters as interpreters
        def main(): pass
        atexit.register(main)
        number = interpreters.create()
        interpreters.run_string(number, "import atexit\\ndef sub(): pass\\natexit.register(sub)")
        interpreters.destroy(number)
        """)
    assert [(handler.name, handler.interpreter > 0) for handler in result.timeline] == [("sub", True), ("main", False)]
    assert result.children == []
