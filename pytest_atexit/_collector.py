"""Keeps the garbage collector out of the way where many objects are made that all stay."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
SWITCH = threading.Lock()  # held from the look at the collector until it is off, and while it is switched on again


def collector_paused(function: Callable[P, T]) -> Callable[P, T]:
    """During the function that this decorates, the collector doesn't start by itself.

    It would look at all that has been made so far again and again, and find nothing: with 100,000 handlers that takes
    longer for each of them, half as long again as with 10,000.
    """

    @wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> T:
        with SWITCH:  # else a call in another thread that ends meanwhile would leave it off for good
            was_enabled = gc.isenabled()
            gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            with SWITCH:
                if was_enabled:
                    gc.enable()

    return paused
