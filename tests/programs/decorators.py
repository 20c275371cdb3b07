"""`register` returns its function, so it decorates."""

import atexit
import functools


@atexit.register
def plain():
    print("plain")


@atexit.register
@atexit.register
def twice():
    print("twice")


def twofold(function):
    @functools.wraps(function)
    def wrapper(*args):
        print("before", function.__name__)
        return function(*args)

    return wrapper


@atexit.register
@twofold
def wrapped():
    print("wrapped")


@functools.partial(atexit.register, b=2, a=1)
def with_arguments(a, b):
    print("with arguments", a, b)


class Owner:
    @atexit.register
    def method(*args):
        print("in a class", args)

    register = atexit.register


print(plain, plain(), twice is atexit.register(twice), wrapped.__wrapped__.__name__)
print(Owner().register(plain) is plain, Owner.method())
print(list(map(atexit.register, [plain, twice])) == [plain, twice])
