"""The journal keeps what happened, whatever the program does to itself and however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outcomes import events_of

from pytest_atexit import ExitResult
from pytest_atexit._errors import PytestAtexitError
from pytest_atexit._events import Ended, Forked, Lost, ProcessBegan, Registered, Started, Unknown
from pytest_atexit._journal import Journal
from pytest_atexit._lines import FORMAT, Program
from pytest_atexit._records import lives_of

Recorded = Callable[..., ExitResult]
Script = Callable[..., Path]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# ---- real programs

SUDDEN_ENDS = {
    "SIGKILL": ("os.kill(os.getpid(), 9)", -9),
    "os._exit": ("os._exit(7)", 7),
    "abort": ("os.abort()", -6),
    "fault": ("import ctypes; ctypes.string_at(8)", -11),
    "exit of the C library": ("import ctypes; ctypes.CDLL(None)._exit(7)", 7),
}


@pytest.mark.parametrize("end", SUDDEN_ENDS)
def test_sudden_end_in_a_handler_leaves_all_that_happened(end: str, recorded: Recorded) -> None:
    """Whatever ends the process in the middle of a handler, it is unfinished, and all before is recorded."""
    code, status = SUDDEN_ENDS[end]
    result = recorded(f"""
        import atexit, os
        def never(): pass
        def dies(): {code}
        def fails(): raise ValueError
        def ran(): pass
        for handler in never, dies, fails, ran:
            atexit.register(handler)
        """)
    assert (result.returncode, result.lost) == (status, False)
    assert (result.ran, result.failed) == (["ran", "fails", "dies"], ["fails"])
    assert (result.unfinished, result.skipped) == (["dies"], ["never"])


def test_sudden_end_right_after_a_registration_keeps_it(recorded: Recorded) -> None:
    """The last thing before a SIGKILL is recorded."""
    result = recorded("import atexit, os\nfor i in range(50): atexit.register(print, i)\nos.kill(os.getpid(), 9)")
    assert [handler.args for handler in result.handlers] == [(number,) for number in range(50)]


MANY = """
import atexit
def handler(*args): pass
text = ["x" * 990, "y" * 990]
for number in range(10_000):
    atexit.register(handler, number, text, text)
"""


def test_full_window_goes_on_in_the_next(recorded: Recorded) -> None:
    """More than 16 MiB of events are kept, each of them, in order."""
    result = recorded(MANY)
    assert [handler.args[0] for handler in result.timeline] == list(range(9_999, -1, -1))
    assert all(handler.state == "ran" for handler in result.timeline)
    assert not result.lost


def test_hundreds_of_forks_are_recorded(recorded: Recorded) -> None:
    """When the room that was set aside for forked children runs out, there is more."""
    result = recorded("""
        import atexit, os
        def handler(): pass
        for number in range(300):
            if not os.fork():
                atexit.register(handler)
                os._exit(0)
            os.wait()
        """)
    assert len(result.children) == 300
    assert all(child.skipped == ["handler"] for child in result.children)


def test_children_that_write_at_once_do_not_mix(recorded: Recorded) -> None:
    """Processes that register at the same time each have their own whole events."""
    result = recorded("""
        import atexit, os
        def handler(*args): pass
        reader, writer = os.pipe()
        for child in range(8):
            if not os.fork():
                os.close(writer)
                os.read(reader, 1)
                for number in range(1000):
                    atexit.register(handler, child, number, "x" * 300)
                os._exit(0)
        os.close(writer)
        for _ in range(8):
            os.wait()
        """)
    written = [[handler.args[:2] for handler in child.handlers] for child in result.children]
    assert sorted(written) == [[(child, number) for number in range(1000)] for child in range(8)]
    assert not any(child.lost for child in result.children)


def test_threads_that_register_at_once_lose_nothing(recorded: Recorded) -> None:
    """Each registration of many threads is an event of its own, and each handler runs once."""
    result = recorded("""
        import atexit, sys, threading
        def handler(thread, number): pass
        def register(thread):
            barrier.wait()
            for number in range(500):
                atexit.register(handler, thread, number)
        sys.setswitchinterval(1e-6)
        barrier = threading.Barrier(8)
        threads = [threading.Thread(target=register, args=(n,), name=str(n)) for n in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """)
    handlers = [handler for handler in result.handlers if handler.name == "handler"]
    assert sorted(handler.args for handler in handlers) == [
        (thread, number) for thread in range(8) for number in range(500)
    ]
    assert all(handler.thread == str(handler.args[0]) for handler in handlers)
    assert len({handler.number for handler in handlers}) == 4000
    numbers = [handler.number for handler in result.timeline]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == len(handlers)


def test_registrations_in_a_signal_handler_do_not_tear_others(recorded: Recorded) -> None:
    """A signal handler that registers while the program registers adds whole events."""
    result = recorded("""
        import atexit, signal
        def handler(n): pass
        def signalled(*_): atexit.register(handler, "signal")
        signal.signal(signal.SIGALRM, signalled)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for number in range(3000):
            atexit.register(handler, number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        """)
    arguments = [handler.args[0] for handler in result.handlers]
    assert [argument for argument in arguments if argument != "signal"] == list(range(3000))
    assert "signal" in arguments
    assert [handler.number for handler in result.timeline] == list(range(len(arguments), 0, -1))


# ---- bytes made by hand

PID = 4321
BEGAN = b"P\t%d\t1000\tstart\t%d\t1\t0\t0\tcpython 3.11.7\\x00/bin/python\\x00/lib/python\\x00python\\x00app.py\n" % (
    FORMAT,
    PID,
)
STRINGS = b"N\t0\t\nN\t1\t__main__\nN\t2\t/app.py\nA\t8\tclose\t1\t2\t2\t3\t1\t\n"
REGISTERED = b"R\t1\t7d0\t8\tt1:1\x1fi7\td0:0\n"


@pytest.fixture
def journal() -> Iterator[Journal]:
    """An empty journal."""
    made = Journal()
    yield made
    made.close()


@pytest.fixture
def read(journal: Journal) -> Callable[..., Program]:
    """Writes lines where the first program of a process begins, and returns what is read from them."""

    def read(*lines: bytes) -> Program:
        os.pwrite(journal.descriptor, b"".join(lines), PID << 40)
        journal.read()
        (program,) = journal.programs()
        return program

    return read


def test_empty_journal_has_no_programs(journal: Journal) -> None:
    """Where nothing was written there is nothing."""
    assert journal.read() == 0
    assert journal.programs() == []


def test_lines_are_read_as_events(read: Callable[..., Program]) -> None:
    """The example lines of a process and a handler that ran."""
    began, registered, started, ended = read(
        BEGAN, STRINGS, REGISTERED, b"S%x\t0\t1\n" % 3000, b"E%x\t1\n" % 4000
    ).events
    assert began == ProcessBegan(
        1000, "start", PID, 1, 0, 0, "cpython 3.11.7", "/bin/python", "/lib/python", ("python", "app.py")
    )
    assert isinstance(registered, Registered)
    assert (registered.qualname, registered.file, registered.line, registered.args) == ("close", "/app.py", 3, (7,))
    assert (started, ended) == (Started(3000, False, 1), Ended(4000, 1))


@pytest.mark.parametrize("length", range(len(REGISTERED)))
def test_torn_last_line_is_left_out(length: int, read: Callable[..., Program]) -> None:
    """However little of the last line was written, the lines before it count and it doesn't."""
    assert len(read(BEGAN, STRINGS, REGISTERED[:length]).events) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"R\n", b"R\t1\n", b"R\tx" + REGISTERED[3:], REGISTERED.replace(b"\t8\t", b"\t9\t"), REGISTERED.replace(b"i7", b"q7"),
        REGISTERED.replace(b"i7", b"ix"), REGISTERED.replace(b"t1:1", b"t2:2"), REGISTERED.replace(b"t1:1", b"tx:1"), REGISTERED.replace(b"\td0:0", b""),
        REGISTERED.replace(b"\td0:0", b"\td0:0\tmore"), b"S\n", b"S3000\n", b"Sx\t0\t1\n", b"S3000\t0\tx\n", b"S3000\t0\t1g\n", b"E3000\tx\n", b"S3000\t1\n", b"E\n", b"U\t1\n", b"U\t1\tx\n", b"U\t1\t\n",
        b"F\t1\n", b"F\t1\tx\t0\n", b"T\n", b"T\tx\t0\n", b"T\t1\t0\tx\n", b"X\t1\n", b"N\n", b"N\t1\n", b"N\tx\ty\n", b"P\n", BEGAN.replace(b"\tstart", b""), b"\n",
    ],
)  # fmt: skip
def test_malformed_line_is_an_error(line: bytes, read: Callable[..., Program]) -> None:
    """A whole line that doesn't keep to the format is an error of ours, with the line in it, never a guess."""
    with pytest.raises(PytestAtexitError, match="malformed|format"):
        read(BEGAN, STRINGS, line, REGISTERED)


@pytest.mark.parametrize(
    "site", [b"\n", b"close\n", b"close\t1\t2\t2\t3\t1\n", b"close\t1\t2\t2\tx\t1\t\n", b"close\t1\t2\t7\t3\t1\t\n"]
)
def test_malformed_site_is_an_error(site: bytes, read: Callable[..., Program]) -> None:
    """So is a registration that refers to a line A which doesn't keep to the format."""
    with pytest.raises(PytestAtexitError, match="malformed"):
        read(BEGAN, STRINGS, b"A\t9\t" + site, b"R\t1\t7d0\t9\n")


def test_registration_without_arguments_is_short(read: Callable[..., Program]) -> None:
    """Lines of one site differ in number and time only; site 0 is one that could not be told."""
    first, second, untold = read(BEGAN, STRINGS, b"R\t1\t7d0\t8\n", b"R\t2\tbb8\t8\n", b"R\tc\tfa0\t0\n").events[1:]
    assert isinstance(first, Registered)
    assert (first.qualname, first.args, first.kwargs) == ("close", (), {})
    assert second == first._replace(number=2, time=3000)
    assert isinstance(untold, Registered)
    assert (untold.number, untold.time, untold.qualname, untold.file) == (12, 4000, "?", "")


@pytest.mark.parametrize("version", [0, 2, 10])
def test_other_version_of_the_format_is_an_error(version: int, read: Callable[..., Program]) -> None:
    """A journal of another format isn't read."""
    with pytest.raises(PytestAtexitError, match="format"):
        read(BEGAN.replace(b"P\t%d" % FORMAT, b"P\t%d" % version))


@pytest.mark.parametrize("line", [b"Z\t1\t2\n", b"Z\n", b"z1\tx\n", b"?\n"])
def test_unknown_kind_is_kept(line: bytes, read: Callable[..., Program]) -> None:
    """A line of a kind that we don't know stays in its place, and the others count."""
    _, unknown, registered = read(BEGAN, STRINGS, line, REGISTERED).events
    assert isinstance(unknown, Unknown)
    assert unknown.text[0] == line.decode()[0]
    assert isinstance(registered, Registered)


def test_lines_go_on_at_another_address(read: Callable[..., Program], journal: Journal) -> None:
    """A program whose window was full goes on where it says."""
    address = (PID << 40) + (1 << 24)
    os.pwrite(journal.descriptor, b"M\t%d\n" % PID + REGISTERED + b"L\n", address)
    events = read(BEGAN, STRINGS, b"G\t%d\n" % address).events
    assert [type(event) for event in events] == [ProcessBegan, Registered, Lost]


def test_forked_child_is_read_where_its_parent_made_room(read: Callable[..., Program], journal: Journal) -> None:
    """A fork's lines hang below the parent's, and know the strings that the parent had by then."""
    address = (PID << 40) + 50_000
    os.pwrite(journal.descriptor, b"P\t%d\t5\tfork\t7\t%d\t\n" % (FORMAT, PID) + REGISTERED, address)
    program = read(BEGAN, STRINGS, b"F\t4\t%d\t1\n" % address)
    assert program.events[1:] == [Forked(4, address, "__main__")]
    ((index, child),) = program.forks
    assert (index, child.began and child.began.pid, type(child.events[1])) == (1, 7, Registered)


FORK = PID + 1
ROOM = (PID << 40) + 50_000  # where the parent has made room for its child
FORKED = b"F\t4\t%d\t1\n" % ROOM
CHILD = b"P\t%d\t5\tfork\t%d\t%d\t\n" % (FORMAT, FORK, PID)
LATE = b"A\t9\tclose\t3\t2\t2\t3\t1\t\n" + REGISTERED.replace(b"\t8\t", b"\t9\t")  # its handler's module is #3


def module_of(program: Program) -> str:
    (registered,) = (event for event in program.events if isinstance(event, Registered))
    return registered.module


def test_fork_knows_what_another_thread_defines_while_it_forks(read: Callable[..., Program], journal: Journal) -> None:
    """A string of the parent's behind the line F may have been there when the process forked."""
    os.pwrite(journal.descriptor, CHILD + LATE, ROOM)
    ((_, child),) = read(BEGAN, STRINGS, FORKED, b"N\t3\tlate\n").forks
    assert module_of(child) == "late"


def test_strings_of_a_fork_are_its_own_first(read: Callable[..., Program], journal: Journal) -> None:
    """Behind the fork both count on from the same number; what the parent defines then isn't the child's."""
    os.pwrite(journal.descriptor, CHILD + b"N\t3\town\n" + LATE, ROOM)
    parent = read(BEGAN, STRINGS, FORKED, b"N\t3\tthe parent's\n", LATE)
    assert (module_of(parent), module_of(parent.forks[0][1])) == ("the parent's", "own")


def test_fork_that_is_read_later_than_its_parent_knows_its_strings(
    read: Callable[..., Program], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the readings of parent and child, the parent may have gone on, forked and been inherited from."""
    lines = Journal._lines
    before = BEGAN + STRINGS + FORKED

    def go_on_first(self: Journal, address: int) -> list[str]:
        if address == ROOM:
            os.pwrite(journal.descriptor, b"N\t3\tlate\n", (PID << 40) + len(before))
            os.pwrite(journal.descriptor, CHILD + LATE, ROOM)
        return lines(self, address)

    monkeypatch.setattr(Journal, "_lines", go_on_first)
    ((_, child),) = read(before).forks
    assert module_of(child) == "late"


def test_string_that_nobody_has_defined_is_an_error(read: Callable[..., Program], journal: Journal) -> None:
    """Neither the child nor an ancestor: nothing is guessed."""
    os.pwrite(journal.descriptor, CHILD + LATE, ROOM)
    with pytest.raises(PytestAtexitError, match="malformed"):
        read(BEGAN, STRINGS, FORKED)


def test_many_generations_of_forks_are_read(journal: Journal) -> None:
    """Children of children, more than Python can call functions within each other; each knows what the first one did."""
    generations = sys.getrecursionlimit() * 2
    for number in range(generations):
        address = (PID << 40) + number * 1000
        began = CHILD.replace(b"%d" % FORK, b"%d" % (PID + number)) if number else BEGAN + STRINGS + REGISTERED
        forks = b"F\t%d\t%d\t1\n" % (2000 + number, address + 1000)
        os.pwrite(journal.descriptor, began + (forks if number < generations - 1 else b"S%x\t0\t1\n" % 9000), address)
    journal.read()
    lives = lives_of(journal)
    assert [life.began.pid - PID for life in lives] == list(range(generations))
    (call,) = lives[-1].calls
    assert call.registration
    assert (call.registration.event.file, call.registration.inherited) == ("/app.py", True)


def test_fork_that_has_not_come_to_write_has_no_beginning(read: Callable[..., Program]) -> None:
    """Room that was made for a child and is still empty is no error."""
    ((_, child),) = read(BEGAN, STRINGS, b"F\t4\t%d\t1\n" % ((PID << 40) + 50_000)).forks
    assert (child.began, child.events) == (None, [])


def test_programs_of_one_process_and_of_others_are_found(journal: Journal) -> None:
    """Each pid, and each program that it was, has a place of its own."""
    for address in (PID << 40), (PID << 40) + (1 << 32), 1 << 40, (1 << 22) - 1 << 40:
        os.pwrite(journal.descriptor, BEGAN, address)
    journal.read()
    assert len(journal.programs()) == 4


def test_text_is_not_evaluated(read: Callable[..., Program]) -> None:
    """What looks like code, a format or an escape is text."""
    text = "__import__('os').abort() {0} %s \\n"
    line = REGISTERED.replace(b"i7", b"s" + text.encode("unicode_escape"))
    registered = read(BEGAN, STRINGS, line).events[1]
    assert isinstance(registered, Registered)
    assert registered.args == (text,)


def test_lines_longer_than_a_chunk_are_whole(read: Callable[..., Program]) -> None:
    """Where reading in parts cuts lines, they are put together again."""
    long = REGISTERED.replace(b"i7", b"s" + b"x" * 60_000)
    events = read(BEGAN, STRINGS, long * 7).events
    assert [len(str(event.args[0])) for event in events if isinstance(event, Registered)] == [60_000] * 7


def test_journal_refuses_to_be_truncated(journal: Journal) -> None:
    """No child can make the memory that others write into disappear."""
    with pytest.raises(PermissionError):
        os.ftruncate(journal.descriptor, 0)


def test_event_implies_those_before_it(recorded: Recorded, journals: dict[int, list[Program]]) -> None:
    """In the raw journal a call comes behind its registration, an end behind its call, and nothing is left over."""
    recorded(
        "import atexit\nfor i in range(10): atexit.register(print, i)\natexit._run_exitfuncs()\natexit.register(print)"
    )
    (programs,) = journals.values()
    kinds = [type(event).__name__[0] for event in events_of(programs)]
    assert "".join(kinds) == "P" + "R" * 10 + "S" + "SE" * 10 + "E" + "R" + "SE"
