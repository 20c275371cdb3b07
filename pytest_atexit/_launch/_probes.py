"""What a test waits for: a port, an address, a predicate of its own; each asked once, and again by who waits."""

from __future__ import annotations

import http.client
import inspect
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_atexit import _explain

if TYPE_CHECKING:
    from pytest_atexit._result import ProcessRecord

CONNECT_PATIENCE = 1.0  # seconds for one attempt to connect


def accepts(host: str, port: int) -> bool:
    """Whether a TCP connection is accepted."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_PATIENCE).close()
    except OSError:
        return False
    return True


class Address:
    """What a GET of an address, without a proxy, gives.

    Attributes:
        answer: the last one, in words.
    """

    def __init__(self, url: str) -> None:
        self.answer = ""
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def gives(self, status: int) -> bool:
        """Whether the answer has this status."""
        try:
            with self._opener.open(self._url, timeout=CONNECT_PATIENCE) as response:
                found = int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            found = error.code
        except (OSError, http.client.HTTPException) as error:
            self.answer = f"there was no answer: {getattr(error, 'reason', '') or repr(error)}"
            return False
        self.answer = f"the last answer had status {found}"
        return found == status


def registered_instead(names: Sequence[str], record: ProcessRecord | None) -> list[str]:
    """Returns lines on which of the names were not registered, and what was."""
    if record is None:
        return ["nothing was recorded of it so far"]
    there = [handler.name for handler in record.handlers]
    missing = [name for name in names if name not in there]
    lines = [f"{name!r} was not registered.{_explain.did_you_mean(name, there)}" for name in missing]
    return [*lines, *(_explain.known(record).splitlines() if there else ["no handler was registered so far"])]


def name_of(predicate: Callable[..., object]) -> str:
    """Returns what a message calls it."""
    name = getattr(predicate, "__qualname__", type(predicate).__qualname__).rpartition("<locals>.")[2]
    code = getattr(predicate, "__code__", None)
    return (
        f"{name}() ({os.path.basename(code.co_filename)}:{code.co_firstlineno}) to be true"
        if code
        else f"{name}() to be true"
    )


def takes_argument(predicate: Callable[..., object]) -> bool:
    """Whether it can't be called without one."""
    try:
        inspect.signature(predicate).bind()
    except TypeError:
        return True
    except ValueError:
        return False
    return False
