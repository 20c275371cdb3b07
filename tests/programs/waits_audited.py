"""An audit hook that the program adds before its first wait sees the program only."""

import atexit
import os
import sys

atexit.register(print, "handler")
events = []
sys.addaudithook(lambda event, args: events.append(event))
for wait in os.wait, lambda: os.waitpid(-1, 0), lambda: os.wait4(-1, 0):
    if not os.fork():
        os._exit(3)
    print(wait()[1])
print([event for event in events if event != "sys._getframe"])  # with it the agent looks who forks
