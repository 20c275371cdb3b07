"""The journal: shared memory into which every process of a run writes lines, and how they are found.

docs/journal.md has the format. The addresses are sparse: each pid has its own range, and in it each program that the
process was.
"""

from __future__ import annotations

import contextlib
import os
import threading

from pytest_atexit import _system
from pytest_atexit._collector import collector_paused
from pytest_atexit._errors import LaunchError, PytestAtexitError
from pytest_atexit._lines import Program

PROGRAM_BITS = 32  # as in the agent
SIZE = 1 << 62
CHUNK = 1 << 14  # bytes that are read first, and twice as many each time that they are full


class Journal:
    """The parent's side of the journal of one run.

    Args:
        name: what `/proc/PID/maps` shows of it.
        folder: where to make a file of that name, for processes that can't come at memory of this one.
    """

    def __init__(self, name: str = "pytest-atexit", folder: str = "") -> None:
        import fcntl  # noqa: PLC0415, for not every system has it

        self._file = os.path.join(folder, name) if folder else ""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.descriptor = os.open(self._file, flags, 0o600) if folder else _system.memfd_create(name)
        try:
            os.ftruncate(self.descriptor, SIZE)  # sparse: takes memory only where something is written
            # F_ADD_SEALS: F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW, for writing to a truncated mapping is fatal
            if not folder:
                fcntl.fcntl(self.descriptor, 1033, 0x1 | 0x2 | 0x4)
        except OSError as error:
            self.close()
            msg = f"no journal could be made, perhaps for a limit on file sizes (ulimit -f): {error}"
            raise LaunchError(msg) from error
        self._programs: dict[int, Program] = {}  # by the address of their first line
        self._size = 0
        self._reading = threading.Lock()  # one thread of a test may wait for the program while another looks at it

    @property
    def path(self) -> str:
        """Where a child opens it, as long as this process lives."""
        return self._file or f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def close(self) -> None:
        """Give the memory back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            if self._file:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._file)

    def programs(self) -> list[Program]:
        """Returns the programs that were read of, in no order; the forked ones are in their parents' `forks`."""
        return list(self._programs.values())

    @collector_paused
    def read(self) -> int:
        """Read on from where the last reading ended; returns how many bytes that makes so far.

        Raises:
            PytestAtexitError: a line does not keep to the format. The next reading starts anew, and finds it again.
        """
        with self._reading:
            try:
                self._find_programs()
                programs = [*self._programs.values()]
                for program in programs:  # the list grows: forked children are read after their parents
                    self._read(program)
                    programs += (child for _, child in program.forks)
            except PytestAtexitError:
                self._programs.clear()
                raise
            return self._size

    def _find_programs(self) -> None:
        address = 0
        with contextlib.suppress(OSError):  # ENXIO: no data behind `address`
            while True:
                data = os.lseek(self.descriptor, address, _system.SEEK_DATA)
                slot = data >> PROGRAM_BITS << PROGRAM_BITS
                if slot not in self._programs and os.pread(self.descriptor, 1, slot) == b"P":
                    self._programs[slot] = Program(address=slot, read=self._read)
                address = slot + (1 << PROGRAM_BITS)

    def _read(self, program: Program) -> None:
        """Read the lines that are new in a program, not those of the children that it forked."""
        is_all = False
        while not is_all:
            lines, is_all = self._lines(program.address)
            size = sum(map(len, lines)) + len(lines)
            self._size += size
            program.address += size
            behind = program.address
            program.take(lines)
            is_all = is_all and program.address == behind  # else the last line says that it goes on elsewhere

    def _lines(self, address: int) -> tuple[list[str], bool]:
        """Returns whole lines from `address` on, and whether there are no more: a half-written last one is left out."""
        size, whole = CHUNK, -1
        while whole < 0:
            chunk = os.pread(self.descriptor, size, address)
            text, end, _ = chunk.partition(b"\0")
            whole = text.rfind(b"\n")
            if end or not chunk:
                break
            size *= 2
        return (text[:whole].decode("ascii", "replace").split("\n") if whole >= 0 else []), bool(end) or not chunk
