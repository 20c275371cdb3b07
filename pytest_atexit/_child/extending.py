"""A part of the agent: more of the journal, for a window that is full and for a forked child."""

from sitecustomize import (
    FORMAT,
    RESERVE,
    SLACK,
    STAMPS,
    WINDOW,
    allocate_lock,
    areas,
    base,
    get_ident,
    getframe,
    interned,
    limit,
    live,
    lost,
    main_thread,
    mapped,
    monotonic_ns,
    posix,
    put,
    target,
    top,
)

growing = allocate_lock()
reserves = {}  # by thread: where the child that it is about to fork will write


def room():
    return limit - areas[-1].tell() - STAMPS * live


def grown_room():
    """Go on in a further part of the journal, if it can be mapped and nobody else is at it; returns the room then."""
    global base, limit
    if growing.acquire(False):
        try:
            length = max(WINDOW, 4 * STAMPS * live)
            area = mapped(length)
            area.write(b"M\t%d\n" % posix().getpid())
            target[0](b"G\t%d\n" % (top - length))
            target[0], base, limit = area.write, top - length, length
        except Exception:  # a limit, a chroot, an audit hook
            pass
        finally:
            growing.release()
    return room()


def before_fork():
    """Set a part of our window aside, in which the child can write without a system call."""
    global limit
    size = RESERVE + STAMPS * live
    address = 0
    if room() >= size + SLACK or grown_room() >= size + SLACK:
        limit -= size
        reserves[get_ident()] = limit, size
        address = base + limit
    try:
        module = interned(dict.get(getframe(2).f_globals, "__name__"))
    except Exception:  # there is no frame, or an audit hook forbids to look
        module = interned("")
    put(b"F\t%d\t%d\t%d\n" % (monotonic_ns(), address, module))


def after_fork():
    """In the child: write where the parent has made room, as a process of its own."""
    global growing, limit, lost, main_thread, top
    growing, lost, main_thread, top = allocate_lock(), False, get_ident(), 0
    reserve = reserves.get(main_thread)
    reserves.clear()
    if reserve is None:
        target[0] = b"".count  # takes a line and does nothing with it
        return
    start, size = reserve
    areas[-1].seek(start)
    limit = start + size
    os = posix()
    put(b"P\t%d\t%d\tfork\t%d\t%d\t\n" % (FORMAT, monotonic_ns(), os.getpid(), os.getppid()))
