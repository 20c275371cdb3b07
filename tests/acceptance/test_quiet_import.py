"""capexit.assert_quiet_import: what a module leaves behind when it is imported."""

import os
import signal

import pytest

NOISY = """
import _thread, atexit, faulthandler, signal, sys, threading, time, weakref

class Cache:
    pass

def close(path): pass
def on_term(signum, frame): pass
def gone(): pass

cache = Cache()
atexit.register(close, "app.db")
atexit.register(gone)
atexit.unregister(gone)
weakref.finalize(cache, close, "cache")
signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGUSR2, on_term)
signal.signal(signal.SIGUSR2, signal.SIG_DFL)
faulthandler.register(signal.SIGUSR1)
threading.Thread(target=threading.Event().wait, name="worker", daemon=True).start()
ended = threading.Thread(target=len, args=([],), name="ended")
ended.start()
ended.join()
signal.signal(signal.SIGRTMIN + 1, on_term)
_thread.start_new_thread(time.sleep, (60,))
print("imported", sys.argv)
"""
NATIVE = """
import ctypes
library, thread = ctypes.CDLL(None), ctypes.c_ulong()
library.pthread_create(ctypes.byref(thread), None, library.pause, None)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that makes a module which the test can import."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(source, name="noisy"):
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return make


def test_everything_is_named_with_its_line(capexit, module):
    """Handlers, finalizers, signal handlers of Python and C, ignored signals, threads that run or have ended.

    One that runs a C function only, and so has no frame, is none that C code has started.
    """
    with pytest.raises(AssertionError) as caught:
        capexit.assert_quiet_import(module(NOISY))
    assert str(caught.value).splitlines() == [
        "the import of noisy is not quiet:",
        "  exit handler close('app.db'), registered at noisy.py:12",
        "  finalizer close('cache'), registered at noisy.py:15",
        "  SIGHUP is ignored, installed at noisy.py:17",
        "  signal handler for SIGUSR1: C code",
        "  signal handler for SIGTERM: noisy.on_term, installed at noisy.py:16",
        "  signal handler for SIGRTMIN+1: noisy.on_term, installed at noisy.py:25",
        "  thread worker, started at noisy.py:21",
        "  thread ended, started at noisy.py:23",
        "  thread time.sleep, started at noisy.py:26",
        "allow=['close', 'SIGHUP', 'SIGUSR1', 'SIGTERM', 'SIGRTMIN+1', 'worker', 'ended', 'time.sleep'] accepts that.",
    ]


def test_what_is_allowed(capexit, module):
    """By the names of handlers, signals, functions and threads; what is left is named."""
    noisy = module(NOISY)
    names = ["close", "SIGHUP", "SIGUSR1", "noisy.on_term", "worker", "ended", "time.sleep"]
    capexit.assert_quiet_import(noisy, allow=iter(names))
    with pytest.raises(AssertionError, match=r"quiet:\n  thread ended, .*\nallow=\['ended'\] accepts that\.$"):
        capexit.assert_quiet_import(noisy, allow={*names, "nois", "unknown"} - {"ended"})


def test_a_module_is_allowed(capexit, module, tmp_path):
    """With all that it and its submodules leave, by the place: a lambda, a function of another module, a thread."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import package.inner")
    (tmp_path / "package" / "inner.py").write_text(
        "import atexit, signal, threading\n"
        "atexit.register(print)\n"
        "signal.signal(signal.SIGTERM, lambda *args: None)\n"
        "threading.Thread(target=len, args=[[]]).start()"
    )
    module("import atexit, package\ndef close(): ...\natexit.register(close)", "packages")
    for name in "package", "package.inner":
        with pytest.raises(AssertionError, match=r"quiet:\n  exit handler close.*\nallow=\['close'\] accepts that\.$"):
            capexit.assert_quiet_import("packages", allow=[name])
    capexit.assert_quiet_import("packages", allow=["package", "packages"])


@pytest.mark.parametrize("name", ["json", "asyncio", "concurrent.futures.process", "logging.config", "unittest.mock"])
def test_the_standard_library_is_quiet(capexit, name):
    """What it registers for itself, once, when it is used, doesn't count."""
    capexit.assert_quiet_import(name)


def test_native_threads(capexit, module):
    """Threads that C code starts are told by the kernel."""
    native = module(NATIVE, "native")
    with pytest.raises(AssertionError, match=r"\n  1 native thread, started by C code\nallow=\['native thread'\]"):
        capexit.assert_quiet_import(native)
    capexit.assert_quiet_import(native, allow=["native thread"])


@pytest.mark.parametrize("end", ["1 / 0", "import sys; sys.exit()", "import os; os._exit(0)", "os.kill"])
def test_an_import_that_does_not_come_to_its_end(capexit, module, end):
    """It is no quiet one, whatever the status."""
    source = (
        f"import os\nos.kill(os.getpid(), {int(signal.SIGKILL)})" if end == "os.kill" else f"print('so far')\n{end}"
    )
    with pytest.raises(AssertionError, match=r"^the import of program did not come to its end \((exit code|killed by)"):
        capexit.assert_quiet_import(module(source, "program"))


@pytest.mark.atexit(must_run=["os._exit"])
def test_no_policy_concerns_it(capexit, module):
    """How our own program ends, which imports it, is none of the test's endings."""
    with pytest.raises(AssertionError, match="the import of noisy is not quiet"):
        capexit.assert_quiet_import(module(NOISY))


def test_wrong_arguments(capexit):
    """No module's name, and names that are no list."""
    for wrong in ("a b", "", "a..b", "x.py;", None):
        with pytest.raises(ValueError, match="the name of a module is needed"):
            capexit.assert_quiet_import(wrong)
    for wrong in ("close", None, [1], b"close"):
        with pytest.raises(TypeError, match=r"such as \['close'\], not "):
            capexit.assert_quiet_import("json", allow=wrong)
    with pytest.raises(AssertionError, match="ModuleNotFoundError: No module named 'nowhere'"):
        capexit.assert_quiet_import("nowhere")


def test_options_reach_the_child(capexit, module):
    """The environment, flags and the interpreter are as for run."""
    source = "import os, sys\nassert os.environ['A'] == '1' and sys.flags.dev_mode and os.getcwd() == '/'"
    with pytest.raises(AssertionError, match="did not come to its end"):
        capexit.assert_quiet_import(module(source, "picky"))
    capexit.assert_quiet_import("picky", env={"A": "1"}, python_args=["-X", "dev"], cwd=os.sep)
