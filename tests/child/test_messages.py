"""Messages that only the interpreter's shutdown produces: each real one is explained, and whose it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
from interpreters import others

from pytest_atexit import CapExit, ExitResult, HandlerFailed

Recorded = Callable[..., ExitResult]
ALL = [(3, minor) for minor in range(10, 16)]
IS_PYPY = sys.implementation.name == "pypy"


class Telling(NamedTuple):
    """A program; the message, as Python prints it; whose it is; words of the rule; the versions that print it."""

    program: str
    message: str
    whose: str
    rule: str
    versions: list[tuple[int, int]]
    on_pypy: bool = True


HANDLER = "the handler close, registered at "
PROGRAMS = {
    "a task for an executor that was used": Telling(
        """
        import atexit
        from concurrent.futures import ThreadPoolExecutor
        executor = ThreadPoolExecutor()
        executor.submit(int)
        @atexit.register
        def close(): executor.submit(int)
        """,
        "RuntimeError: cannot schedule new futures after shutdown",
        HANDLER,
        "Python, which shuts down all executors before it calls exit handlers",
        ALL,
    ),
    "a task for a new executor": Telling(
        """
        import atexit
        from concurrent.futures import ThreadPoolExecutor
        @atexit.register
        def close(): ThreadPoolExecutor().submit(int)
        """,
        "RuntimeError: cannot schedule new futures after interpreter shutdown",
        HANDLER,
        "no executor takes tasks once the main thread has come to its end",
        ALL,
    ),
    "the first import of an executor": Telling(
        """
        import atexit, threading
        @atexit.register
        def close():
            from concurrent.futures import ThreadPoolExecutor
            ThreadPoolExecutor()
        """,
        "RuntimeError: can't register atexit after shutdown",
        HANDLER,
        "import them earlier",
        ALL,
    ),
    "asyncio.to_thread": Telling(
        """
        import asyncio, atexit
        @atexit.register
        def close(): asyncio.run(asyncio.to_thread(int))
        """,
        "RuntimeError: can't register atexit after shutdown",
        HANDLER,
        "asyncio.to_thread uses one",
        ALL,
    ),
    "a thread of a __del__": Telling(
        """
        import sys, threading
        class Late:
            def __del__(self, threading=threading, hangs=sys.version_info < (3, 12)):
                hangs or threading.Thread(target=print).start()
        late = Late()
        """,
        "Error: can't create new thread at interpreter shutdown",
        "Late.__del__: ",
        "from Python 3.12 on no thread can be started once the interpreter is being torn down",
        ALL[2:],
        on_pypy=False,
    ),
    "a fork of a __del__": Telling(
        """
        import os
        class Late:
            def __del__(self, os=os):
                os.fork() or os._exit(0)
        late = Late()
        """,
        "Error: can't fork at interpreter shutdown",
        "Late.__del__: ",
        "from Python 3.12 on no process can be forked once the interpreter is being torn down",
        ALL[2:],
        on_pypy=False,
    ),
    "a join of a __del__": Telling(
        """
        import threading
        class Late:
            def __del__(self):
                self.thread.join(0.1)
        late = Late()
        late.thread = threading.Thread(target=threading.Event().wait, daemon=True)
        late.thread.start()
        """,
        "PythonFinalizationError: cannot join thread at interpreter shutdown",
        "Late.__del__: ",
        "from Python 3.14 on join() raises instead of waiting for ever",
        ALL[4:],
        on_pypy=False,
    ),
    "an import of a __del__": Telling(
        """
        class Late:
            def __del__(self):
                import colorsys
        late = Late()
        """,
        "ImportError: sys.meta_path is None, Python is likely shutting down",
        "Late.__del__: ",
        "nothing can be imported while modules are torn down",
        ALL,
        on_pypy=False,
    ),
    "a lock that a __del__ waits for": Telling(
        """
        import sys, threading
        class Late:
            def __del__(self, lock=threading.Lock(), refused=sys.version_info >= (3, 15)):
                lock.acquire()
                lock.acquire(refused)  # it would wait for ever
        late = Late()
        """,
        "PythonFinalizationError: cannot acquire lock at interpreter finalization",
        "Late.__del__: ",
        "from Python 3.15 on a lock that is held can't be waited for while modules are torn down",
        ALL[5:],
        on_pypy=False,
    ),
    "a daemon thread that writes": Telling(
        """
        import atexit, io, sys, threading
        closing, writing = threading.Event(), threading.Event()
        class Stuck(io.RawIOBase):
            def writable(self):
                return True
            def write(self, data):
                writing.set()
                threading.Event().wait()
        file = sys.stdout = io.TextIOWrapper(io.BufferedWriter(Stuck()))
        def write():
            closing.wait()
            file.buffer.write(b"x" * 1000000)
        threading.Thread(target=write, daemon=True).start()
        @atexit.register
        def close():
            closing.set()
            writing.wait()
        """,
        "Fatal Python error: _enter_buffered_busy: could not acquire lock for <_io.BufferedWriter> "
        "at interpreter shutdown, possibly due to daemon threads",
        "",
        "a daemon thread was stopped while it wrote",
        ALL,
        on_pypy=False,
    ),
    "a callback of threading that raises": Telling(
        """
        import threading
        threading._register_atexit(lambda: 1 / 0)
        """,
        "Exception ignored ",
        "",
        "it ended the wait for threads",
        ALL,
    ),
}
EACH = pytest.mark.parametrize("telling", [pytest.param(each, id=name) for name, each in PROGRAMS.items()])


def check(recorded: Recorded, telling: Telling, version: tuple[int, ...], python: str | None) -> None:
    """The message is there as Python prints it, and explained; where Python prints none, nothing is."""
    result = recorded(telling.program, python=python)
    why = [line for line in str(result).splitlines() if line.startswith("why ")]
    prints = version in telling.versions
    assert (telling.message in result.stderr) == prints
    assert len(why) == prints
    if prints:
        assert why[0].startswith(f"why {telling.whose}")
        assert telling.message in why[0]
        assert telling.rule in why[0]


@EACH
def test_a_message_is_explained(recorded: Recorded, telling: Telling) -> None:
    """By whose it is, and by the rule behind it."""
    if IS_PYPY and not telling.on_pypy:
        pytest.skip("PyPy tears no modules down, and has no such lock")
    check(recorded, telling, sys.version_info[:2], None)


@pytest.mark.slow
@pytest.mark.parametrize("version", others())
@EACH
def test_it_is_on_other_versions(recorded: Recorded, telling: Telling, version: str) -> None:
    """Those that print it."""
    check(recorded, telling, tuple(map(int, version.split("."))), others()[version])


def test_the_error_explains_it(capexit: CapExit) -> None:
    """The test that fails by it says why."""
    with pytest.raises(HandlerFailed, match=r"why the handler close, registered at .*no executor takes tasks"):
        capexit.run(PROGRAMS["a task for a new executor"].program)


def test_what_early_releases_of_312_refuse_to_handlers(recorded: Recorded) -> None:
    """The rule names them, and elsewhere the handler's thread runs."""
    result = recorded("import atexit, threading\n@atexit.register\ndef close(): threading.Thread(target=print).start()")
    refused = (3, 12) <= sys.version_info < (3, 12, 3) and not IS_PYPY
    assert result.failed == (["close"] if refused else [])
    assert ("3.12.0 to 3.12.2 refuse that to exit handlers" in str(result)) == refused


def test_nothing_is_explained_where_nothing_was_said(recorded: Recorded) -> None:
    """Other errors are none of Python's shutdown."""
    result = recorded("import atexit\natexit.register(lambda: 1 / 0)\nraise RuntimeError('new futures')")
    assert "why " not in str(result)
