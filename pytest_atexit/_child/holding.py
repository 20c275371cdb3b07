"""A part of the agent: holds a handler at its start as long as a test wants it, see docs/moments.md.

It is loaded where a test may want that, and costs the call of a handler one look into memory until one does. What waits
then is made in C: a signal handler of the program runs in between, and what it raises has no frame of ours.
"""

from registering import Entry, labels, making_runs, when_raised
from sitecustomize import Method, allocate_lock, mapped, namespace, parts, pid, put
from values import built_in

PAGE = 1 << 20  # how much of the journal, from its beginning, belongs to moments, in bytes
SLOT = 1 << 10  # what each moment has of it; the first slot says in its first byte whether there was any
OVER, HELD, WHO, NAME = 1, 2, 8, 64  # where in a slot, whose first byte says that it is in use
PAUSE = 0.001  # seconds between two looks


def prepare_to_hold():
    """Map what the test writes in."""
    global page
    page = mapped(PAGE, 0)
    if "registering" not in parts and "__call__" in Entry.__dict__:  # a fork server has made a chain before
        Entry.__call__ = making_runs(when_raised)


def checkpoint(numbers):
    """An iterator: drawing an item holds the handler that is about to be called, with the next number, if asked to."""
    nobody = iter(Method(page.__getitem__, 0), 1)  # ends when a test asks for the first time, and then `waits` goes on
    waits = map(any, map(wait, numbers))
    return built_in("itertools").chain(nobody, waits)


def wait(number):
    """What is to be gone through before the handler of this number is called."""
    try:
        slot = asked_for(number)
        if slot:
            return looks(slot + OVER)
    except Exception:
        put(b"L\n")
    return ()


def asked_for(number):
    """The slot of the first moment that waits for a handler of that name, which is told; 0 if there is none."""
    name, slot = short(labels.get(number, b"")), SLOT
    while page[slot]:
        if not page[slot + OVER] and not page[slot + HELD]:
            if page[slot + NAME : slot + SLOT].partition(b"\n")[0] == name:
                who = b"%d %d\n" % (pid, number)
                page[slot + WHO : slot + WHO + len(who)] = who
                page[slot + HELD] = 1
                return slot
        slot += SLOT
    return 0


def short(name):
    """What the test calls it, as in pytest_atexit/_records.py."""
    if name[:8] == b"partial(":
        return b"partial(%b)" % short(name[8:-1])
    return name.rpartition(b"<locals>.")[2]


def looks(place):
    """Looks at a byte, at intervals. No system call but that on a lock is made, so no audit hook hears of it."""
    repeat, lock = built_in("itertools").repeat, allocate_lock()
    lock.acquire()
    pauses = map(lock.acquire, repeat(True), repeat(PAUSE))
    checked = map(repr, pauses)  # has signals handled that came when nothing waited
    return map(page.__getitem__, map({}.get, checked, repeat(place)))
