"""Becomes the first process of a PID namespace, and then a program in it.

    python -I -S _pid1.py REPORT VARIABLES PROGRAM ARG…

REPORT: a descriptor of a pipe, where this is told in one line: "pid N", its number outside; "refused TEXT", where the
system allows no namespace; "failed N", the number of the error for which the program could not be executed.
VARIABLES: a descriptor of a file with the program's environment, each entry followed by a NUL byte.

The program is no child of this process but of its parent, which is to see its end and to be sent its signals.
"""

import ctypes
import os
import signal
import sys

CLONE_PARENT, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x8000, 0x20000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x4000, 0x40000
SYS_CLONE3 = 435  # on all architectures
CLONE_ARGS = 8  # numbers of 64 bits in the first version of that structure; flags are the first one

library = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """Returns what a function of the C library has returned.

    Raises:
        OSError: it failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def enter() -> None:
    """Let children be in a PID namespace of their own, with mounts of their own.

    Raises:
        OSError: that isn't allowed.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        check(library.unshare(CLONE_NEWPID | CLONE_NEWNS))
    except PermissionError:  # then as the owner of a user namespace
        check(library.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS))
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{file}", "w") as target:
                target.write(text)


def fork_as_sibling() -> int:
    """As `os.fork`, but the child is one of our parent's.

    Raises:
        OSError: that isn't allowed.
    """
    arguments = (ctypes.c_uint64 * CLONE_ARGS)(CLONE_PARENT)
    size = ctypes.c_long(ctypes.sizeof(arguments))
    return check(library.syscall(ctypes.c_long(SYS_CLONE3), ctypes.byref(arguments), size))


def become(program: list[bytes], variables: dict[bytes, bytes]) -> None:
    """Become the program, in a session of its own and with the processes of the namespace in /proc.

    Raises:
        OSError: it can't be executed.
    """
    os.setsid()
    # Where nothing may be mounted (nobody may in a container that hides some of /proc), it is that of the outside. What
    # is mounted there is first made no longer shared, or everybody would get to see ours.
    if library.mount(b"none", b"/proc", None, MS_REC | MS_PRIVATE, None) == 0:
        library.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
    for signum in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # which Python has changed at its start
        signal.signal(signum, signal.SIG_DFL)
    os.execve(program[0], program, variables)  # noqa: S606, no shell comes between


def main(report: int, source: int, program: list[bytes]) -> None:
    """Tell who the program is, once it is there, and end."""
    os.set_inheritable(report, False)  # noqa: FBT003, it takes no keywords
    with open(source, "rb") as file:  # it closes the descriptor
        entries = file.read().split(b"\0")[:-1]
    variables = dict(entry.split(b"=", 1) for entry in entries)
    try:
        enter()
        pid = fork_as_sibling()
    except (OSError, AttributeError) as error:
        os.write(report, f"refused {error}\n".encode())
        return
    if pid:
        os.write(report, b"pid %d\n" % pid)
        return
    try:
        become(program, variables)
    except OSError as error:
        os.write(report, b"failed %d\n" % (error.errno or 0))
    finally:
        os._exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [os.fsencode(arg) for arg in sys.argv[3:]])
