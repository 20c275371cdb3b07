"""A pool whose workers register handlers of their own."""

import atexit
import multiprocessing
import sys


def prepare():
    atexit.register(print, "worker done", flush=True)


def double(number):
    return 2 * number


if __name__ == "__main__":
    atexit.register(print, "main done", flush=True)
    pool = multiprocessing.get_context(sys.argv[1]).Pool(2, initializer=prepare)
    print(pool.map(double, range(4)), flush=True)
    pool.close()
    pool.join()
