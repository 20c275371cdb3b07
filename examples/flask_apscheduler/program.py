"""A Flask application with a job each second. Usage: program.py PORT."""

import atexit
import sys

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

app = Flask(__name__)
scheduler = BackgroundScheduler(timezone="UTC")


def close_database():
    print("database closed")


def OnExitApp():
    scheduler.shutdown()
    print("Exit Flask application")


@scheduler.scheduled_job("interval", seconds=1)
def job():
    print("Scheduler is alive!", flush=True)


@app.get("/")
def index():
    return "hello"


atexit.register(close_database)
atexit.register(OnExitApp)

if __name__ == "__main__":
    scheduler.start()
    app.run(port=int(sys.argv[1]))
