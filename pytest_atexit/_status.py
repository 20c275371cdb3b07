"""How a process ended, as the operating system reports it: an exit code or a signal, never both."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass


def signal_name(number: int) -> str:
    """Returns "SIGTERM" for 15; "signal 40" for a number without a name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """An exit code or a signal.

    Attributes:
        code: 0 to 255, or None if a signal ended the process.
        signal: the signal's number, or None if the process exited by itself.
    """

    code: int | None = None
    signal: int | None = None

    @classmethod
    def from_returncode(cls, returncode: int) -> ExitStatus:
        """Returns the status behind a `Popen.returncode`, where signals are negative."""
        return cls(signal=-returncode) if returncode < 0 else cls(code=returncode)

    @property
    def returncode(self) -> int:
        """As `Popen.returncode`: the exit code, or minus the signal's number."""
        return -self.signal if self.signal is not None else self.code or 0

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {signal_name(self.signal)}"
        return f"exit code {self.code}"
