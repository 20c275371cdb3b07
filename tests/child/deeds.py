"""What hostile programs do to themselves, as pieces of programs that tell what they register and run."""

# Tells with one system call each what it registers, unregisters and runs. What it needs it takes before its deed, which
# may leave nothing of its modules and builtins.
TELLING = """
import atexit, builtins, ctypes, gc, locale, mmap, os, pathlib, resource, shutil, signal, sys, tempfile, threading, time
write, getpid, fork, waitpid = os.write, os.getpid, os.fork, os.waitpid
Exception, ValueError = Exception, ValueError
to = 1

def tell(what, name):
    write(to, b"@%d %s %s\\n" % (getpid(), what, name))

def register(name, does=lambda: None):
    def handler(number, key):
        tell(b"ran", name)
        does()
        tell(b"returned", name)
    handler.__qualname__ = name.decode()
    atexit.register(handler, 1, key=[2])
    tell(b"registered", name)
    return handler

def unregister(name, handler):
    atexit.unregister(handler)
    tell(b"unregistered", name)

def fails():
    raise ValueError("text")

def forbid(event, args):
    if event not in ("sys.unraisablehook", "cpython._PySys_ClearAuditHooks"):
        raise RuntimeError(event)
"""

# The deed, then all that we might spoil or lose: handlers, removed ones, failing ones, a run by hand, a fork.
AFTER_DEED = """
register(b"before")
{deed}
register(b"after")
removed = register(b"removed")
register(b"fails", fails)
unregister(b"removed", removed)
atexit._run_exitfuncs()
try:
    pid = fork()
except Exception:
    tell(b"cannot", b"fork")
else:
    if pid:
        waitpid(pid, 0)
    else:
        register(b"of the child")
register(b"fails late", fails)
"""

DEEDS = {
    "closes all descriptors": "os.closerange(3, 4096)",
    "closes standard input": "os.closerange(3, 4096); os.close(0)",
    "reuses the numbers of descriptors": "os.closerange(3, 4096); files = [open(f'own {n}', 'wb', 0) for n in range(300)]",
    "reuses standard numbers": "to = os.dup2(1, 500); os.closerange(0, 500); files = [open(f'own {n}', 'wb', 0) for n in range(64)]",
    "has its file under all numbers": "fd = os.open('own', os.O_RDWR | os.O_CREAT); [os.dup2(fd, n) for n in range(3, 512)]",
    "has its files under the numbers in turn": "[os.dup2(os.open(f'own {n}', os.O_RDWR | os.O_CREAT), n) for n in range(3, 64)]",
    "may open none": "resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
    "has used up its descriptors": """
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
try:
    while True: os.dup(1)
except OSError: pass
""",
    "may write no file": "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
    "may lock no memory": "resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))",
    "may have no more memory mapped": "resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))",
    "may start no process": "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
    "has a small stack": "resource.setrlimit(resource.RLIMIT_STACK, (1 << 19, 1 << 19))",
    "has used up its memory": """
size = int(open('/proc/self/statm').read().split()[0]) * mmap.PAGESIZE
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 24), size + (1 << 24)))
hoard = []
try:
    while True: hoard.append(bytearray(1 << 19))
except MemoryError: pass
del hoard[-4:]  # what a traceback needs, in a plain run too
""",
    "goes to another folder": "os.mkdir('folder'); os.chdir('folder'); os.rmdir('../folder')",
    "changes the umask": "os.umask(0o777)",
    "clears its environment": "os.environ.clear()",
    "changes the locale": "locale.setlocale(locale.LC_ALL, 'C.UTF-8'); os.environ['LC_ALL'] = 'xx'",
    "forbids open": "sys.addaudithook(lambda event, args: (_ for _ in ()).throw(OSError) if event == 'open' else None)",
    "forbids everything": "sys.addaudithook(forbid)",
    "removes modules": "[sys.modules.pop(m) for m in ('os', 'time', 'posix', 'mmap', 'itertools', '_functools') if m in sys.modules]",
    "removes all modules": "sys.modules.clear()",
    "removes functions": "[delattr(m, n) for m in (os, time) for n in list(vars(m)) if not n.startswith('_')]",
    "removes builtins": "vars(builtins).clear()",
    "starts a session": "os.fork() and os._exit(9) or os.setsid()",
    "is nobody's child": "os.fork() and os._exit(9) or os.setsid() or os.fork() and os._exit(8)",
    "can gain no privileges": "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)",
    "can't be looked into": "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)",
    "collects all the time": "gc.set_threshold(1)",
    "collects nothing": "gc.disable(); gc.freeze()",
    "switches all the time": "sys.setswitchinterval(1e-9)",
    "gets signals all the time": "signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)",
    "replaces hooks and streams": "sys.unraisablehook = sys.excepthook = sys.stdout = sys.stderr = None",
    "has its hooks raise": "sys.unraisablehook = sys.excepthook = lambda *_: fails()",
    "has little recursion": "sys.setrecursionlimit(40)",
}  # fmt: skip
ROOT_DEEDS = {
    "changes the root": "os.mkdir('root'); os.chroot('root'); os.chdir('/')",
    "changes its user": "os.setgroups([]); os.setgid(65534); os.setuid(65534)",
    "changes both": "os.mkdir('root'); os.chroot('root'); os.setgroups([]); os.setgid(65534); os.setuid(65534)",
    "is nobody and may start no process": "os.setuid(65534); resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
}

# What a handler does, with handlers before and behind it.
IN_HANDLER = """
def does():
    {deed}
register(b"last", fails)
register(b"remaining")
register(b"does", does)
register(b"fails", fails)
register(b"first")
"""

HANDLER_DEEDS = {
    "forks": "pid = os.fork(); pid and os.waitpid(pid, 0)",
    "forks and the child leaves": "os.fork() == 0 and os._exit(3); os.wait()",
    "leaves": "os._exit(7)",
    "becomes another": "os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
    "hangs until it is killed": "signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()",
    "closes stderr": "os.close(2); fails()",
    "closes everything": "global to; to = os.dup2(1, 500); os.closerange(0, 500)",
    "replaces hooks": "sys.unraisablehook = sys.excepthook = print; fails()",
    "removes hooks": "del sys.unraisablehook, sys.excepthook, sys.__unraisablehook__; fails()",
    "replaces streams": "sys.stdout = sys.stderr = None; fails()",
    "removes streams": "del sys.stdout, sys.stderr, sys.__stderr__; fails()",
    "collects": "gc.collect(); gc.freeze(); gc.unfreeze()",
    "removes modules": "sys.modules.clear(); fails()",
    "removes builtins": "vars(builtins).clear(); fails()",
    "forbids everything": "sys.addaudithook(forbid); fails()",
    "exits": "sys.exit(5)",
    "is interrupted": "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "registers": "register(b'never')",
    "removes the others": "atexit._clear(); tell(b'unregistered', b'last'); tell(b'unregistered', b'remaining')",
}  # fmt: skip

# Programs in which somebody registers while something else is registered or run.
ENTANGLED = {
    "threads that register and unregister while handlers run": """
turn, done = threading.Semaphore(0), threading.Semaphore(0)
def beside():
    for number in range(100):
        turn.acquire()
        handler = register(b"%d of the thread" % number)
        if number % 2:
            unregister(b"%d of the thread" % number, handler)
        done.release()
def together():
    turn.release()
    done.acquire()
threading.Thread(target=beside, daemon=True).start()
for number in range(100):
    register(b"%d" % number, together)
""",
    "finalizers that register": """
gc.set_threshold(1)
class Cycle:
    def __init__(self, number):
        self.cycle, self.number = self, number
    def __del__(self):
        register(b"%d of __del__" % self.number)
for number in range(200):
    Cycle(number)
    register(b"%d" % number)
gc.collect()
""",
}
