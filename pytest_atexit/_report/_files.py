"""Files on all runs of a session."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pytest_atexit._report._facts import RunFacts
from pytest_atexit._report._page import page
from pytest_atexit._report._summary import totals

VERSION = 1  # of the document, see docs/report.md


def document(runs: Sequence[RunFacts]) -> dict[str, Any]:
    """Returns what a file in JSON holds."""
    tool = ""
    with contextlib.suppress(PackageNotFoundError):  # it need not be installed to be loaded
        tool = version("pytest-atexit")
    return {
        "format": "pytest-atexit report",
        "version": VERSION,
        "pytest_atexit": tool,
        "summary": {"runs": len(runs), **totals(runs)},
        "runs": list(runs),
    }


def check(file: str) -> None:
    """See that a file can be written; its folder is made.

    Raises:
        OSError: it can't.
    """
    folder = os.path.dirname(file)
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(file):
        raise IsADirectoryError("it is a folder")
    with tempfile.TemporaryFile(dir=folder):
        pass


def write(file: str, runs: Sequence[RunFacts], kind: str) -> None:
    """Write a file, whole or not at all.

    Args:
        file: its absolute path.
        runs: what is in it.
        kind: "json" or "html".

    Raises:
        OSError: it can't be written.
    """
    text = page(document(runs)) if kind == "html" else json.dumps(document(runs), indent=1)
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(file)}.", dir=os.path.dirname(file))
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # as any other file, for others are to read it
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
