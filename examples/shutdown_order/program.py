"""A scheduler that saves its last result as it stops, in a database. Usage: program.py [wrong]."""

import atexit
import sys


class Database:
    def __init__(self):
        self.is_open = True

    def save(self, row):
        if self.is_open:
            print("saved:", row)  # and lost without a word otherwise

    def close(self):
        self.is_open = False


class Scheduler:
    def __init__(self, database):
        self.database = database

    def stop(self):
        self.database.save("the last result")


database = Database()
scheduler = Scheduler(database)

if "wrong" in sys.argv:
    atexit.register(scheduler.stop)
    atexit.register(database.close)
else:
    atexit.register(database.close)
    atexit.register(scheduler.stop)
