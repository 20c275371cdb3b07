"""Keeps a report, which takes long to write at exit; works until SIGTERM or Ctrl-C."""

import atexit
import signal
import sys
import time

DRAFT, REPORT = sys.argv[1:3]


@atexit.register
def close_database():
    print("database closed", flush=True)


@atexit.register
def write_report():
    with open(DRAFT) as draft, open(REPORT, "w") as report:
        for line in draft:
            time.sleep(0.001)  # slow
            report.write(line)


signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
with open(DRAFT, "w") as file:
    file.writelines(f"{number}\n" for number in range(10))
print("ready", flush=True)
while True:
    time.sleep(0.01)
