"""A Flask application in debug mode: a reloader, and below it the process that serves. Usage: program.py PORT."""

import atexit
import os
import sys

from flask import Flask

app = Flask(__name__)


def OnExitApp():
    where = "server" if os.environ.get("WERKZEUG_RUN_MAIN") else "reloader"
    print(f"{where}: Exit Flask application", flush=True)


@app.get("/")
def index():
    return "hello"


atexit.register(OnExitApp)

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), debug=True)
