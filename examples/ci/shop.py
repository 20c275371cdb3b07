"""A service with two workers: what CI should tell of its exit."""

import atexit
import os
import signal
import sys
import time


def close_database(path, *, checkpoint):
    time.sleep(0.02)


def flush_metrics(host):
    raise ConnectionError(f"{host} does not answer")


def stop_worker(number):
    time.sleep(0.005 * number)


def remove_pid_file():
    pass


def main():
    atexit.register(remove_pid_file)
    atexit.register(close_database, "app.db", checkpoint=True)
    for number in (1, 2):
        if os.fork() == 0:
            atexit.register(stop_worker, number)
            if "--metrics" in sys.argv:
                atexit.register(flush_metrics, "metrics.local")
            sys.exit(0)
    for _ in range(2):
        os.wait()
    if "--serve" in sys.argv:
        print("serving", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
