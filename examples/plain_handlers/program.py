"""Says goodbye to two users, and closes what it opened."""

import atexit


def OnExitApp(user, *, mood="happy"):
    print(f"{user} exits the application, {mood}")


@atexit.register
def close():
    print("closed")


atexit.register(OnExitApp, "Ada")
atexit.register(OnExitApp, user="Grace", mood="tired")
print("running")
