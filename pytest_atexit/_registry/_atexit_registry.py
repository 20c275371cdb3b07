"""AtexitRegistry: what the fixture `atexit_registry` hands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_atexit._registry._functions import FUNCTIONS
from pytest_atexit._registry._recorder import Recorder

if TYPE_CHECKING:
    from pytest_atexit._handler import Handler
    from pytest_atexit._result import ProcessRecord


class AtexitRegistry:
    """A registry of the test's own: as long as it is open, the functions of `atexit` in this process act on it.

    Args:
        folders: paths below these are shown relative to them.

    Raises:
        LaunchError: this interpreter can't do that.
    """

    def __init__(self, folders: list[str]) -> None:
        self._recorder = Recorder(folders)
        FUNCTIONS.come(self._recorder)

    def __repr__(self) -> str:
        return f"<AtexitRegistry: {len(self.registered)} registered>"

    @property
    def handlers(self) -> list[Handler]:
        """Every handler registered since the test began, in registration order, with what has become of it."""
        return self._recorder.record().handlers

    @property
    def registered(self) -> list[str]:
        """Their names, those of handlers that were unregistered included."""
        return self._recorder.record().registered

    def run(self) -> ProcessRecord:
        """Run the handlers now, the last registered first, as the interpreter would at its exit, and forget them.

        What they raise is reported through `sys.unraisablehook` and recorded, and doesn't come out of here.

        Returns:
            What has happened since the test began, earlier runs included.
        """
        self._recorder.entries.run()
        return self._recorder.record()

    def close(self) -> None:
        """Let the functions act on what they acted on before. What is still registered is forgotten."""
        FUNCTIONS.go(self._recorder)
        self._recorder.entries.forget()
