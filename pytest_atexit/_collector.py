"""Keeps the garbage collector out of the way where many objects are made that all stay."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

SWITCH = threading.Lock()  # held from the look at the collector until it is off, and while it is switched on again


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Within the block, or the function that this decorates, the collector doesn't start by itself.

    It would look at all that has been made so far again and again, and find nothing: with 100,000 handlers that takes
    longer for each of them, half as long again as with 10,000.
    """
    with SWITCH:  # else a block of another thread that ends meanwhile would leave it off for good
        was_enabled = gc.isenabled()
        gc.disable()
    try:
        yield
    finally:
        with SWITCH:
            if was_enabled:
                gc.enable()
