"""The Popen that the plugin's own processes are started with, whatever a test has put in its place."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, cast

from pytest_atexit import _system


def _real_popen() -> type[subprocess.Popen[bytes]]:
    """`subprocess.Popen` itself, found by its base class: its name may stand for a fake at this moment."""
    return cast(
        "type[subprocess.Popen[bytes]]",
        next(kind for kind in object.__subclasses__() if (kind.__module__, kind.__name__) == ("subprocess", "Popen")),
    )


if TYPE_CHECKING:
    Popen = subprocess.Popen[bytes]
else:
    Popen = _real_popen()


class Child(Popen):
    """A Popen that a fake installed later doesn't replace: fakes exchange `subprocess.Popen`, not its subclasses."""

    def look(self) -> int:
        """Wait for its end and return its `returncode`, but don't reap it.

        Raises:
            ChildProcessError: another wait has taken it.
        """
        return _system.returncode_of(self.pid)
