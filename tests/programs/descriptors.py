"""The open descriptors are those of a plain run, before, between and after registrations and in handlers."""

import atexit
import os
import tempfile


def look(moment):
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    found = {}
    for name in sorted(os.listdir(listing), key=int):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}").partition(":")[0]
        except OSError:
            found[int(name)] = "closed"
    os.close(listing)
    found.pop(listing)
    print(moment, [number for number, target in found.items() if target != "closed"], listing)


look("start")
atexit.register(look, "at exit")
look("registered")
for i in range(100):
    atexit.register(len, "x" * i)
look("many")
atexit.unregister(len)
look("unregistered")
atexit.register(len)
atexit.register(look, "before a failure")
os.closerange(3, 100)
files = [tempfile.TemporaryFile() for _ in range(5)]
look("files")
if not os.fork():
    atexit.register(look, "child at exit")
    look("child")
    files[0].write(b"x")
    os._exit(0)
os.wait()
look("forked")
files[0].seek(0)
print(files[0].read())
