"""multiprocessing's workers, by fork and by spawn, and their handlers."""

import atexit
import multiprocessing
import sys


def work(text):
    atexit.register(print, "worker", text)
    print("work", text, flush=True)


def main():
    atexit.register(print, "main")
    for method in "fork", "spawn":
        context = multiprocessing.get_context(method)
        process = context.Process(target=work, args=(method,))
        process.start()
        process.join()
        print(process.exitcode, flush=True)
        leaver = context.Process(target=sys.exit, args=(3,))
        leaver.start()
        leaver.join()
        print(leaver.exitcode, flush=True)


if __name__ == "__main__":
    main()
