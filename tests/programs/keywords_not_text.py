"""`register` takes keywords that aren't text; only the call of the handler finds fault with them."""

import atexit


def handler(**kwargs):
    print(kwargs)


print(atexit.register(handler, **{1: 2}))
print(atexit.register(dict, **{None: 2}))
try:
    atexit.register(**{1: 2})
except TypeError as error:
    print(error)
