"""The interpreter's state as a program sees it."""

import sys

before = sorted(sys.modules)
print(before)

print([name for name in sys.modules if name not in before])
print(sorted(sys.modules))
import builtins
import os
import signal
import site
import threading

print(sys.path == [path for path in sys.path if os.path.basename(path) != "sitecustomize"], len(sys.path))
print(sys.path, sys.meta_path, sys.path_hooks, sys.path_importer_cache.keys() & {p for p in sys.path if "atexit" in p})
print(getattr(sys.modules.get("zipimport"), "_zip_directory_cache", None))
print(len(sys.path_importer_cache), sys.argv, sys.orig_argv, sys.flags, sys.warnoptions, sys._xoptions)
print(sys.gettrace(), sys.getprofile(), sys.excepthook, sys.unraisablehook, sys.displayhook, sys.breakpointhook)
print(sys.getrecursionlimit(), sys.getswitchinterval(), sys.dont_write_bytecode, sys.pycache_prefix)
print(sorted(vars(builtins)), sorted(set(globals()) - {"before"}), __file__, __name__, __spec__, __loader__.__class__)
print(sorted({*os.environ} - {"PYTHONPATH", "PYTEST_ATEXIT_JOURNAL"}))
print([signal.getsignal(number) for number in range(1, 65) if number not in (32, 33)])
print(threading.active_count(), len(os.listdir("/proc/self/task")), os.getcwd() == os.path.realpath("."))
print(
    site.ENABLE_USER_SITE,
    [p for p in site.getsitepackages()],
    "sitecustomize" in sys.modules,
    "usercustomize" in sys.modules,
)
print(os.getpgid(0) == os.getpid() or "same group", os.umask(0o22), os.times().children_user)
try:
    import sitecustomize
except ImportError as error:
    print(error)
print(sys.stdin, sys.stdout, sys.stderr, sys.stdin.read())
with open("/proc/self/status") as status:
    print([line for line in status if line.startswith(("SigBlk", "SigIgn", "SigPnd", "Threads"))])
atexit.register(len, "")
