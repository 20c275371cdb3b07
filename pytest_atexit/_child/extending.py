"""A part of the agent: more of the journal, for a window that is full and for a forked child."""

from sitecustomize import (
    FORMAT,
    RESERVE,
    SLACK,
    STAMPS,
    WINDOW,
    Method,
    RLock,
    get_ident,
    get_native_id,
    getframe,
    interned,
    live,
    lost,
    main_thread,
    mapped,
    monotonic_ns,
    pid,
    put,
    target,
    top,
    window,
)
from waiting import stand_in_for_waits

busy = RLock()  # held while the window changes
growing = False
reserves = {}  # by thread: where the child that it is about to fork will write


def room():
    area, _, end = window
    return end - area.tell() - STAMPS * live


def grown_room(needed):
    """Go on in a further part of the journal if so much room is needed and it can be mapped; returns the room then."""
    global growing
    with busy:
        if not growing and room() < needed:  # a signal handler that comes here meanwhile takes what is left
            growing = True
            try:
                grow(needed)
            except Exception:  # a limit, a chroot, an audit hook
                pass
            finally:
                growing = False
        return room()


def grow(needed):
    global window
    length = (max(WINDOW, 4 * STAMPS * live, 2 * needed) // WINDOW + 1) * WINDOW
    area = mapped(length)
    start = top - length
    area.write(b"M\t%d\n" % pid)
    # In one call into C: no thread appends to the former part behind the line that leads to this one.
    exchanged = map(Method(target.__setitem__, 0), (area.write,))
    next(zip(map(target[0], (b"G\t%d\n" % start,)), exchanged))
    window = area, start, length


def before_fork():
    """Set a part of our window aside, in which the child can write without a system call."""
    global window
    stand_in_for_waits()
    size = RESERVE + STAMPS * live
    address = 0
    with busy:
        if grown_room(size + SLACK) >= size + SLACK:
            area, start, end = window
            window = area, start, end - size
            reserves[get_ident()] = area, start, end - size, end
            address = start + end - size
    try:
        module = interned(dict.get(getframe(2).f_globals, "__name__"))
    except Exception:  # there is no frame, or an audit hook forbids to look
        module = interned("")
    put(b"F\t%d\t%d\t%d\n" % (monotonic_ns(), address, module))


def after_fork():
    """In the child: write where the parent has made room, as a process of its own. It asks the program for nothing."""
    global busy, growing, lost, main_thread, pid, top, window
    parent = pid
    busy, growing, lost, main_thread, top = RLock(), False, False, get_ident(), 0
    pid = get_native_id()  # of its only thread
    reserve = reserves.get(main_thread)
    reserves.clear()
    # None is ours where a C library has forked, and told Python only after that: `before_fork` was not called, or for
    # an earlier child, which has written there.
    if reserve is None or reserve[0][reserve[2]]:
        target[0] = b"".count  # takes a line and does nothing with it
        return
    area, address, start, end = reserve
    area.seek(start)
    target[0], window = area.write, (area, address, end)
    put(b"P\t%d\t%d\tfork\t%d\t%d\t\n" % (FORMAT, monotonic_ns(), pid, parent))
