"""An asyncio server. Usage: program.py PORT [stubborn]."""

import asyncio
import atexit
import signal
import sys


@atexit.register
def close_database():
    print("database closed")


async def greet(reader, writer):
    writer.write(b"hello\n")
    await writer.drain()
    writer.close()


async def main():
    stopping = asyncio.Event()
    handle = (lambda: print("no", flush=True)) if "stubborn" in sys.argv else stopping.set
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, handle)
    server = await asyncio.start_server(greet, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await stopping.wait()


asyncio.run(main())
