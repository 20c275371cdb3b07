"""Which rule of Python's is behind a message that only its shutdown produces.

The messages and rules are those of CPython 3.10 to 3.15 and PyPy 3.11; tests/child/test_messages.py produces each. No
rule is told that doesn't hold for all of them, or that doesn't say for which it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Message(NamedTuple):
    """A message, and the rule behind it."""

    pattern: re.Pattern[str]
    rule: str


def _message(pattern: str, rule: str) -> Message:
    return Message(re.compile(pattern), rule)


MESSAGES = (
    _message(
        "can't create new thread at interpreter shutdown",
        # https://github.com/python/cpython/issues/113964
        "from Python 3.12 on no thread can be started once the interpreter is being torn down; "
        "3.12.0 to 3.12.2 refuse that to exit handlers and to remaining threads, too",
    ),
    _message(
        "can't fork at interpreter shutdown",
        "from Python 3.12 on no process can be forked once the interpreter is being torn down; "
        "3.12.0 to 3.12.2 refuse that to exit handlers, too",
    ),
    _message(
        "preexec_fn not supported at interpreter shutdown",
        "from Python 3.12 on no process can be forked with preexec_fn once the interpreter is being torn down; "
        "3.12.0 to 3.12.2 refuse that to exit handlers, too",
    ),
    _message(
        "cannot schedule new futures after shutdown",
        "the executor takes no more tasks: it was shut down, be it by its shutdown() or by Python, "
        "which shuts down all executors before it calls exit handlers",
    ),
    _message(
        "cannot schedule new futures after interpreter shutdown",
        "no executor takes tasks once the main thread has come to its end, which is before exit handlers are called",
    ),
    _message(
        "can't register atexit after shutdown",
        "the executors of concurrent.futures (asyncio.to_thread uses one) can't be imported for the first time once "
        "the main thread has come to its end, which is before exit handlers are called: import them earlier",
    ),
    _message(
        r"sys\.meta_path is None, Python is likely shutting down",
        "nothing can be imported while modules are torn down, which is after exit handlers: import it earlier",
    ),
    _message(
        "cannot join thread at interpreter shutdown",
        "other threads don't run any more while modules are torn down, which is after exit handlers: "
        "from Python 3.14 on join() raises instead of waiting for ever",
    ),
    _message(
        "cannot acquire lock at interpreter finalization",
        "from Python 3.15 on a lock that is held can't be waited for while modules are torn down, which is after exit "
        "handlers: whoever holds it doesn't run any more",
    ),
    _message(
        "could not acquire lock for .* at interpreter shutdown, possibly due to daemon threads",
        "a daemon thread was stopped while it wrote, and so keeps the lock of the file that Python flushes at its end: "
        "let such a thread end first",
    ),
    _message(
        r"^Exception ignored (on threading shutdown:|in: <module 'threading' from |in: threading\._shutdown\(\))",
        "it ended the wait for threads: further callbacks of threading are skipped, and threads that are no daemons "
        "are not waited for",
    ),
)

# The line before a traceback says whose it is.
WHOSE = re.compile(
    r"^Exception (?:ignored (?:in:|while calling deallocator) <function (?P<function>\S+) at |"
    r"in thread (?P<thread>[^:]+?)(?: \(.*\))?:$|ignored )"
)


class Explained(NamedTuple):
    """A message, whose it is ("" if that isn't known), and the rule behind it."""

    message: str
    whose: str
    rule: str

    def __str__(self) -> str:
        return f"{self.whose}{self.message!r}: {self.rule}"


def rule_of(text: str) -> str | None:
    """Returns the rule behind a line, or None."""
    return next((message.rule for message in MESSAGES if message.pattern.search(text)), None)


def explained_in(text: str) -> Iterator[Explained]:
    """Yields what can be explained in a traceback, or in what a program wrote to stderr."""
    whose = ""
    for line in text.splitlines():
        if match := WHOSE.match(line):
            function, thread = match["function"], match["thread"]
            whose = f"{function}: " if function else f"thread {thread}: " if thread else ""
        if not line.startswith(" ") and (rule := rule_of(line)):
            yield Explained(line, whose, rule)
            whose = ""
