"""A Flask application that says who leaves it. Usage: program.py PORT [graceful]."""

import atexit
import ctypes
import os
import signal
import sys

from flask import Flask

app = Flask(__name__)


def OnExitApp(user):
    print(user, "exit Flask application")


@app.get("/")
def index():
    return "hello"


@app.get("/give-up")
def give_up():
    os._exit(3)


@app.get("/crash")
def crash():
    os.abort()


@app.get("/fatal")
def fatal():
    ctypes.pythonapi.Py_FatalError(b"out of luck")


atexit.register(OnExitApp, user="Ng Wai Foong")

if __name__ == "__main__":
    if "graceful" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(port=int(sys.argv[1]))
