"""Python programs below this one, recorded or not, behave the same."""

import atexit
import subprocess
import sys

CODE = (
    "import atexit, sys; atexit.register(print, 'child', sys.argv[1:], sys.flags.isolated); print(atexit._ncallbacks())"
)


def run(*flags):
    done = subprocess.run([sys.executable, *flags, "-c", CODE, "x"], capture_output=True, text=True)
    print(flags, done.returncode, done.stdout, done.stderr)


for flags in (), ("-I",), ("-S",), ("-E",), ("-O",), ("-W", "error"):
    run(*flags)
print(subprocess.run([sys.executable, "-c", CODE], env={}, capture_output=True, text=True))
print(subprocess.run([sys.executable, "-c", CODE], preexec_fn=lambda: print("preexec"), capture_output=True, text=True))
atexit.register(run)
