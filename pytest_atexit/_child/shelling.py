"""A part of the agent: a shell's command line, in which the test has all that is executed ask."""

from asking import ask, with_stubs
from sitecustomize import modules


def asking_line(command, environ):
    """What a shell is given instead: whatever it calls, by name or by path, asks the test."""
    text = ask("line", modules["os"].fsdecode(command))
    variables = with_stubs(environ)
    path = variables.pop("PATH")
    needed = {name: value for name, value in variables.items() if environ.get(name) != value}
    if environ.get("PATH") != path:
        needed["PATH"] = path
    return "".join([f"export {name}={quoted(value)}\n" for name, value in needed.items()]) + text


def quoted(text):
    return "'" + text.replace("'", "'\"'\"'") + "'"
