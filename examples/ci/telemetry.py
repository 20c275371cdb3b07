"""A module that does more than to define things when it is imported."""

import atexit
import threading


def send():
    pass


atexit.register(send)
threading.Thread(target=threading.Event().wait, name="sender", daemon=True).start()
