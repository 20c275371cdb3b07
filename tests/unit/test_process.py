"""What the kernel knows of processes."""

from __future__ import annotations

import os
import threading

from pytest_atexit._launch._process import Process


def test_a_thread_is_no_process() -> None:
    """The kernel answers for the number of a thread, too, though no list of processes shows it."""
    numbers: list[int] = []
    known, over = threading.Event(), threading.Event()

    def wait() -> None:
        numbers.append(threading.get_native_id())
        known.set()
        over.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        known.wait()
        assert os.path.exists(f"/proc/{numbers[0]}/stat")
        assert Process.look(numbers[0]) is None
        assert Process.look(os.getpid()) is not None
    finally:
        over.set()
        thread.join()
