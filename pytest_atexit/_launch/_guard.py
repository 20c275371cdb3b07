"""The guardian's program: when pytest is gone, however that came, it ends what is left of pytest's programs.

    python -I -S _guard.py FOLDER AGENT PIDFD SESSIONS

FOLDER: the session's folder for temporary files, which is removed then. Its name begins the names of the journals.
AGENT: the agent's folder, likewise. It is in the environment of everything that a program of this session starts.
PIDFD: a descriptor of the pytest process. It tells of the end even if forks of pytest still hold the pipe.
SESSIONS: a descriptor of a file whose byte n is 1 while n is the session of a program that was started.
stdin: a pipe. At its end pytest has closed the session or has become another program by exec.
stdout: the guardian's pid. It is no child of pytest, for tests may count their children, or wait for the last one.
"""

import os
import sys

PATIENCE = 600.0  # seconds after which it gives up: nobody waits for it
LATE = 0.1  # seconds in which a process that pytest was starting when it was killed has become a program
LARGEST_PID = 1 << 22  # of Linux


def detach() -> None:
    """Go on in a process that nobody waits for."""
    if pid := os.fork():
        os.write(1, b"%d" % pid)
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def make_importable() -> None:
    """Let our light modules be imported, but not our package's `__init__`, which imports pytest."""
    launch = os.path.dirname(os.path.abspath(__file__))
    for name, folder in (("pytest_atexit", os.path.dirname(launch)), ("pytest_atexit._launch", launch)):
        package = type(sys)(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def sessions(descriptor: int) -> set[int]:
    """Returns the sessions that programs were started in."""
    flags = os.pread(descriptor, LARGEST_PID, 0)
    found = set()
    pid = flags.find(1)
    while pid >= 0:
        found.add(pid)
        pid = flags.find(1, pid + 1)
    return found


def guard(folder: str, agent: str, pidfd: int, descriptor: int) -> None:
    """Wait for the end of pytest, then of its programs."""
    import signal
    from select import POLLIN, poll
    from shutil import rmtree

    from pytest_atexit._launch._process import Process, Start
    from pytest_atexit._launch._tree import Tree

    # What ends pytest, or its container, must not end who clears up after it.
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    own = Process.look(os.getpid())
    assert own is not None
    since = Start(own.pid, own.started)
    tree = Tree(since, (os.fsencode(agent),), os.path.basename(folder) + "-", lambda: sessions(descriptor))
    pytest = poll()
    pytest.register(pidfd, POLLIN)
    both = poll()
    both.register(pidfd, POLLIN)
    both.register(0, POLLIN)
    both.poll()
    tree.parent_is_gone()
    tree.end(PATIENCE)
    if pytest.poll(0):
        poll().poll(LATE * 1000)
        tree.end(PATIENCE)
    rmtree(folder, ignore_errors=True)
    rmtree(agent, ignore_errors=True)


if __name__ == "__main__":
    detach()
    make_importable()
    guard(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
