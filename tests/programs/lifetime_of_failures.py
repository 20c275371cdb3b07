"""What a failing handler leaves behind is gone before the next one is called."""

import atexit
import gc
import weakref


class Local:
    def __del__(self):
        print("local dies")


class Error(Exception):
    def __del__(self):
        print("exception dies")


references = []


def fails(argument):
    local = Local()
    error = Error(local)
    references.append(weakref.ref(error))
    references.append(weakref.ref(local))
    raise error


def chained(argument):
    try:
        fails(argument)
    except Error as error:
        other = Error("outer")
        references.append(weakref.ref(other))
        raise other from error


def look():
    print([reference() is None for reference in references])
    gc.collect()
    print(len(gc.garbage))


gc.disable()
for handler in fails, chained:
    atexit.register(look)
    atexit.register(handler, 1)
    atexit.register(look)
    atexit.register(handler, argument=2)


def by_hand():
    local = Local()
    atexit.register(chained, local)
    del local
    atexit._run_exitfuncs()
    print("by hand")
    look()


by_hand()
