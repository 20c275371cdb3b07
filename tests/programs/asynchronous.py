"""asyncio programs: loops closed and left open, tasks, and a loop that a handler runs."""

import asyncio
import atexit


async def work():
    atexit.register(print, "registered in a coroutine")
    await asyncio.sleep(0)
    return 1


async def fails():
    raise ValueError("in a coroutine")


print(asyncio.run(work()))
atexit.register(lambda: print("run by a handler:", asyncio.run(work())))
atexit.register(lambda: asyncio.run(fails()))
