"""A program that imports a module and writes down which signal handlers and threads there are then.

It runs in a child, as text; nobody imports it. Handlers are recorded by the agent as ever. What it writes, into its own
folder, is JSON:

    {"signals": {number: [what happens, file, line]}, "threads": [[name, file, line]], "native": number of threads}
"""

from __future__ import annotations

import sys

sys.path[:] = [entry for entry in sys.path if entry != __file__.rpartition("/")[0]]  # a module may be called `program`

import _signal  # type: ignore[import-not-found]  # noqa: E402, for see above; it has no stubs
import _thread  # noqa: E402
import importlib  # noqa: E402
from collections.abc import Callable  # noqa: E402

# What is imported here, the module finds imported: nothing that registers, starts or replaces anything.
Site = tuple[str, int]
installed: dict[int, Site] = {}
started: list[tuple[object, Site]] = []
real_signal, MODULE, SIGNALS = _signal.signal, sys.argv.pop(), range(1, 32)
ON_THE_WAY = ("signal", "threading", "asyncio.unix_events", "concurrent.futures.thread")
STARTS = ("start_new_thread", "start_new", "start_joinable_thread")
LOOKS = 100  # at the kernel's threads: one that has ended may be among them for a moment


def site() -> Site:
    """File and line of the first caller that only passes on what others want, or the import system."""
    frame = sys._getframe(2)  # noqa: SLF001, there is no other way
    while frame.f_back and (
        frame.f_globals.get("__name__") in ON_THE_WAY or frame.f_code.co_filename.startswith("<frozen importlib.")
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def signal(signum: int, handler: object) -> object:
    """Stands in for `_signal.signal`, which the functions of `signal` call."""
    result = real_signal(signum, handler)
    installed[int(signum)] = site()
    return result


def noting(start: Callable[..., object]) -> Callable[..., object]:
    """Stands in for a function that starts threads (not every version tells audit hooks of them)."""

    def note(function: object, *args: object, **kwargs: object) -> object:
        result = start(function, *args, **kwargs)
        started.append((function, site()))
        return result

    return note


def status() -> dict[str, str]:
    """What the kernel knows of this process."""
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def dispositions() -> dict[int, str]:
    """What happens at each signal. The kernel knows what is handled, and Python what it handles itself."""
    masks = status()
    caught, ignored = (int(masks[name], 16) for name in ("SigCgt", "SigIgn"))
    found = {}
    for number in SIGNALS:
        bit, handler = 1 << (number - 1), _signal.getsignal(number)
        if caught & bit:
            found[number] = described(handler) if callable(handler) else "C code"
        else:
            found[number] = "ignored" if ignored & bit else "default action"
    return found


def described(function: object) -> str:
    """The name of a function, or of an object's type."""
    kind = type(function)
    module = getattr(function, "__module__", None) or kind.__module__
    return f"{module}.{getattr(function, '__qualname__', kind.__qualname__)}"


def thread_name(function: object) -> str:
    """The name of a thread of `threading`, else of the function that it runs."""
    return str(getattr(getattr(function, "__self__", None), "name", "") or described(function))


def native_threads() -> int:
    """How many threads there are that Python doesn't know."""
    least = sys.maxsize
    for _ in range(LOOKS):
        least = min(least, int(status()["Threads"]) - len(sys._current_frames()))  # noqa: SLF001, there is no other way
    return least


_signal.signal = signal
before, native = dispositions(), native_threads()
starts = {name: noting(getattr(_thread, name)) for name in STARTS if hasattr(_thread, name)}
vars(_thread).update(starts)
if "threading" in sys.modules:  # something of the environment has imported it, and it has bound them
    vars(sys.modules["threading"]).update({f"_{name}": start for name, start in starts.items()})
importlib.import_module(MODULE)
_signal.signal = real_signal

import json  # noqa: E402, for see above
import os  # noqa: E402

after = dispositions()
changed = {number: [after[number], *installed.get(number, ("", 0))] for number in SIGNALS}
changed = {number: found for number, found in changed.items() if found[0] != before[number]}
with open(os.path.join(os.path.dirname(__file__), "found.json"), "w") as file:
    threads = [[thread_name(function), *place] for function, place in started]
    json.dump({"signals": changed, "threads": threads, "native": max(0, native_threads() - native)}, file)
os._exit(0)  # What it has registered is not our concern: it may take long, and threads may never end.
