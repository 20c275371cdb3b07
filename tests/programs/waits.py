"""Waiting for children, in every way: results, errors, and the frames that a signal handler finds."""

import atexit
import os
import signal
import subprocess
import sys
import traceback


def show(*args):
    print(*args, flush=True)


def child(code):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os._exit(code)
    return pid


def tell(way, pid, result):
    """Without pids, which differ from run to run."""
    show(way, type(result).__name__, [pid == item if item == pid else item for item in tuple(result)[:2]], len(result))


def interrupted(action):
    """Wait for a child that ends after a signal handler has been called."""
    reader, writer = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os.close(writer)
        while open(f"/proc/{parent}/stat").read().rpartition(")")[2].split()[0] != "S":
            pass  # until it waits
        os.kill(parent, signal.SIGUSR1)
        os.read(reader, 1)
        os._exit(5)

    def handler(number, frame):
        try:
            action(frame)
        finally:
            os.close(writer)

    signal.signal(signal.SIGUSR1, handler)
    try:
        show(os.waitpid(pid, 0)[1])
    except ZeroDivisionError:
        traceback.print_exc()
        show(os.waitpid(pid, 0)[1])
    os.close(reader)


def divide(_):
    1 / 0


def wait_within(frame):
    traceback.print_stack(frame)
    pid = child(8)
    show("within", os.waitpid(pid, 0)[1])


atexit.register(show, "handler")
pid = child(1)
tell("waitpid", pid, os.waitpid(pid, 0))
pid = child(2)
tell("wait", pid, os.wait())
pid = child(3)
tell("wait3", pid, os.wait3(0))
pid = child(4)
tell("wait4", pid, os.wait4(options=0, pid=pid))
if hasattr(os, "waitid"):
    pid = child(5)
    tell("waitid", pid, os.waitid(os.P_PID, pid, os.WEXITED))

pid = os.fork()
if not pid:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(6)
show("stopped", os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]), os.waitpid(pid, os.WNOHANG))
os.kill(pid, signal.SIGCONT)
show("ended", os.waitpid(pid, 0)[1])

for args in (-1, 0), (), ("x", 0), (1, 2, 3), (-1, None):
    try:
        os.waitpid(*args)
    except (OSError, TypeError):
        traceback.print_exc()

interrupted(traceback.print_stack)
interrupted(divide)
interrupted(wait_within)

for code in 0, 3:
    show(subprocess.run([sys.executable, "-c", f"import sys; sys.exit({code})"]).returncode)
process = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"])
while process.poll() is None:
    pass
show(process.returncode)
show(os.waitpid.__name__, os.waitpid.__module__, os.waitpid.__doc__, type(os.waitpid.__call__).__name__ != "function")
show(repr(os.wait).partition(" at ")[0], callable(os.wait))
