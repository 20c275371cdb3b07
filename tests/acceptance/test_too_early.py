"""A signal that comes before the program is there."""

import os
import signal
from pathlib import Path

import pytest

from pytest_atexit import CapExit, NotRecorded


def test_signal_before_the_recorder_is_loaded(capexit: CapExit, tmp_path: Path) -> None:
    """The error says that the test has to wait, and not that flags kept the recorder out."""
    os.mkfifo(tmp_path / "gate")  # an interpreter that is held up before it can load anything
    compiling = 'case "$*" in *_bytecode.py*) exit 1;; esac'  # asked to compile the recorder, it is no Python
    (tmp_path / "slow").write_text(f"#!/bin/sh\n{compiling}\nread line < {tmp_path}/gate\n")
    (tmp_path / "slow").chmod(0o755)
    program = capexit.start("pass", python=tmp_path / "slow")
    with pytest.raises(NotRecorded, match=r"let the test wait before\nit sends one \(wait_for_signal_handler"):
        program.stop(signal.SIGTERM)
