"""The programs that are run, as text; `{count}` stands for a number of handlers."""

EMPTY = ""
THREE = """
import atexit
def stop_scheduler(): pass
def flush_telemetry(): pass
def close_database(): pass
for handler in stop_scheduler, flush_telemetry, close_database:
    atexit.register(handler)
"""
MANY = """
import atexit
def handler(): pass
for _ in range({count}):
    atexit.register(handler)
"""
# Not `ru_maxrss`: it counts what the parent used before the exec, too.
PEAK = """
import atexit
def peak():
    with open("/proc/self/status") as status:
        print(*(line.split()[1] for line in status if line.startswith("VmHWM")))
atexit.register(peak)
def handler(): pass
for _ in range({count}):
    atexit.register(handler)
"""
FLASK = """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return "hello"
"""
FLASK_WITH_THREE = FLASK + THREE
# Handlers that leave a trace, for tools that don't say what ran.
TRACE = """
import atexit, os
def leave(name):
    with open(os.environ["BENCHMARK_TRACE"], "a") as trace:
        trace.write(name + "\\n")
def stop_scheduler(): leave("stop_scheduler")
def flush_telemetry(): leave("flush_telemetry")
def close_database(): leave("close_database")
for handler in stop_scheduler, flush_telemetry, close_database:
    atexit.register(handler)
"""
FLASK_WITH_TRACE = FLASK + TRACE
# A test file of a suite that has nothing to do with us.
TESTS = """
import pytest
@pytest.mark.parametrize("number", range(20))
def test_number(number):
    assert number < 20
"""
