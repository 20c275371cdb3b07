"""Starts workers, and ends them when it exits: SIGTERM for all, half a second of grace, then SIGKILL."""

import atexit
import subprocess
import sys
import time

GRACE = 0.5  # seconds
workers = [subprocess.Popen([sys.argv[1], "--queue", queue]) for queue in ("mail", "images")]


@atexit.register
def stop_workers():
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        end(worker, deadline)


def end(worker, deadline):
    try:
        worker.wait(timeout=max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        print("killed", worker.args)
        worker.kill()
        worker.wait()


print("started")
