"""`os._exit` in a handler: the rest is skipped and buffered output is lost."""

import atexit
import os

print("buffered")
for wrong in (), ("text",), (1, 2), (None,):
    try:
        os._exit(*wrong)
    except TypeError as error:
        print(error)
os.write(1, b"unbuffered\n")
atexit.register(os.write, 1, b"never\n")
atexit.register(os._exit, 7)
atexit.register(os.write, 1, b"first\n")
