"""A WSGI application with an exit handler in each process that imports it."""

import atexit

from flask import Flask

app = Flask(__name__)


@atexit.register
def flush():
    print("flushed", flush=True)


@app.get("/")
def index():
    return "hello"
