"""Other interpreters that this machine has, and what `-vv` says of how the agent was loaded."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = [f"3.{minor}" for minor in range(10, 16)]
# What `-vv` says of a module whose code it has; of an archive it says what it tries, and nothing when it has succeeded.
LOADED = re.compile(r"# code object from '?(.*/sitecustomize\b.*?\.pyc?)'?$", re.MULTILINE)
TRIED = re.compile(r"# trying (.*\.zip/sitecustomize\.pyc?)$", re.MULTILINE)


@functools.cache
def others() -> dict[str, str]:
    """Returns paths of CPythons of other versions, by version: from PATH and from pyenv."""
    own = f"3.{sys.version_info[1]}"
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = {}
    for version in VERSIONS:
        candidates = [shutil.which(f"python{version}"), *map(str, root.glob(f"versions/{version}.*/bin/python"))]
        working = [path for path in candidates if path and _is_version(path, version)]
        if working and version != own:
            found[version] = working[0]
    return found


@functools.cache
def pypy() -> str:
    """Returns the path of a PyPy 3.11 that PATH has, or an empty string."""
    path = sys.executable if sys.implementation.name == "pypy" else shutil.which("pypy3") or shutil.which("pypy3.11")
    return path if path and _is_version(path, "3.11", "pypy") else ""


def _is_version(path: str, version: str, implementation: str = "cpython") -> bool:
    """Whether it is one: a shim of pyenv may refuse to run."""
    text = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-I", "-c", text], capture_output=True, text=True, check=False)
    return done.stdout.split() == [implementation, version]


def loaded_from(stderr: str) -> list[str]:
    """Returns the files from which modules named `sitecustomize` were loaded: bytecode if the name ends so.

    The agent comes first; a distribution may have one of its own, as Debian has.
    """
    return TRIED.findall(stderr)[-1:] + LOADED.findall(stderr)
