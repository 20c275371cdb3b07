"""Signals that arrive while a handler runs."""

import atexit
import os
import signal
import sys


def send(number):
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass
    print("not interrupted by", number)


def stop(signum, frame):
    print("signal handler in", frame.f_code.co_name if frame else None)
    sys.exit(42)


def block():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    os.kill(os.getpid(), signal.SIGUSR1)


def unblock():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    print("not reached")


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
atexit.register(print, "the last one runs")
for number in signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2:
    atexit.register(send, number)
    atexit.register(os.kill, os.getpid(), number)
atexit.register(unblock)
atexit.register(block)
signal.raise_signal(signal.SIGUSR2)
sys.exit(3)
