"""What a test waits for: a port, an address, a predicate of its own; each asked once, and again by who waits."""

from __future__ import annotations

import http.client
import inspect
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

CONNECT_PATIENCE = 1.0  # seconds for one attempt to connect


def accepts(host: str, port: int) -> bool:
    """Whether a TCP connection is accepted."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_PATIENCE).close()
    except OSError:
        return False
    return True


def status_of(url: str) -> int | None:
    """Returns the status of a GET without a proxy, or None where nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=CONNECT_PATIENCE) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, http.client.HTTPException):
        return None


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
