"""A program that imports a module and writes down which signal handlers and threads there are then.

It runs in a child, as text; nobody imports it. Handlers are recorded by the agent as ever. What it writes, into its own
folder, is JSON:

    {
        "signals": {number: [what happens, file, line, module]},
        "threads": [[name, file, line, module]],
        "native": number of threads
    }
"""

from __future__ import annotations

# What is imported here, the module finds imported: nothing that registers, starts or replaces anything.
import _signal  # type: ignore[import-not-found]  # it has no stubs
import _thread
import importlib
import sys
import time
from collections.abc import Callable

Site = tuple[str, int, str]
installed: dict[int, Site] = {}
started: list[tuple[object, Site]] = []
real_signal = _signal.signal
SIGNALS = (*range(1, 32), *range(_signal.SIGRTMIN, _signal.SIGRTMAX + 1))
ON_THE_WAY = ("signal", "threading", "asyncio.unix_events", "concurrent.futures.thread")
STARTS = ("start_new_thread", "start_new", "start_joinable_thread")
# At the kernel's threads: one that has ended for Python is among them until it gets the processor once more, and of
# that nobody is told. Seconds between two looks leave it to others.
LOOKS, BETWEEN = 500, 0.001


def site() -> Site:
    """File, line and module of the first caller that only passes on what others want, or the import system."""
    frame = sys._getframe(2)  # noqa: SLF001, there is no other way
    while frame.f_back and (
        frame.f_globals.get("__name__") in ON_THE_WAY or frame.f_code.co_filename.startswith("<frozen importlib.")
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, str(frame.f_globals.get("__name__", ""))


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
    """How many threads there are that Python doesn't know. One that runs a C function only has no frame."""
    least = sys.maxsize
    for _ in range(LOOKS):
        known = max(len(sys._current_frames()), _thread._count() + 1)  # noqa: SLF001, there is no other way
        least = min(least, int(status()["Threads"]) - known)
        if least <= 0:
            break
        time.sleep(BETWEEN)
    return least


def look() -> None:
    """Let what follows be seen."""
    _signal.signal = signal
    starts = {name: noting(getattr(_thread, name)) for name in STARTS if hasattr(_thread, name)}
    vars(_thread).update(starts)
    if "threading" in sys.modules:  # something of the environment has imported it, and it has bound them
        vars(sys.modules["threading"]).update({f"_{name}": start for name, start in starts.items()})


def main(module: str) -> None:
    """Import a module, and write what it has left."""
    folder = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry != folder]  # a module may be called `program`
    before, native = dispositions(), native_threads()
    look()
    importlib.import_module(module)
    _signal.signal = real_signal
    import json  # noqa: PLC0415, see above
    import os  # noqa: PLC0415, see above

    after, more = dispositions(), native_threads() - native
    changed = {number: [after[number], *installed.get(number, ("", 0, ""))] for number in SIGNALS}
    with open(os.path.join(folder, "found.json"), "w") as file:
        found = {
            "signals": {number: found for number, found in changed.items() if found[0] != before[number]},
            "threads": [[thread_name(function), *place] for function, place in started],
            "native": max(0, more),
        }
        json.dump(found, file)
    os._exit(0)  # What it has registered is not our concern: it may take long, and threads may never end.


if __name__ == "__main__":
    main(sys.argv.pop())
