"""Who registered a handler, told by the files and modules of the caller and of the handler."""

from __future__ import annotations

import os
import sys

from pytest_atexit._events import Registered

PACKAGES = ("site-packages", "dist-packages")


def origin_of(event: Registered, stdlib: str) -> str:
    """Returns program, library, stdlib or coverage.

    What counts is who called `register`. Where the standard library did so on behalf of others (a thread whose target
    is `atexit.register`, say), it is the handler's own home that counts.
    """
    if event.caller.partition(".")[0] == "coverage":
        return "coverage"
    if not _is_stdlib(event.file, stdlib):
        return "library" if _is_package(event.file) else "program"
    if event.home:
        return "stdlib" if _is_stdlib(event.home, stdlib) else "library" if _is_package(event.home) else "program"
    root = event.module.partition(".")[0]
    return "program" if root == "__main__" else "stdlib" if root in sys.stdlib_module_names or not root else "library"


def _is_package(file: str) -> bool:
    return any(part in PACKAGES for part in file.replace("\\", "/").split("/"))


def _is_stdlib(file: str, stdlib: str) -> bool:
    return file.startswith("<frozen ") or (file.startswith(stdlib + os.sep) and not _is_package(file))


def shown_path(file: str, folders: list[str]) -> str:
    """Returns a path as a reader knows it: below one of the folders, or below site-packages, relative."""
    for folder in folders:
        if folder and file.startswith(folder.rstrip(os.sep) + os.sep):
            return file[len(folder.rstrip(os.sep)) + 1 :]
    parts = file.split(os.sep)
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] in PACKAGES:
            return os.sep.join(parts[index + 1 :])
    return file
