"""A headless Chromium, driven by its DevTools protocol: JSON over two pipes, which needs neither port nor library."""

import base64
import fcntl
import json
import os
import select
import signal
import time
from pathlib import Path
from typing import Any

PATIENCE = 40.0  # seconds for an answer
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40}


class Browser:
    """One window. What went wrong in its pages is in `errors`; `close` ends it."""

    def __init__(self, command: str, profile: Path) -> None:
        self.errors: list[str] = []
        reads, self._to = _pipe()
        self._from, writes = _pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, reads, 3),
            (os.POSIX_SPAWN_DUP2, writes, 4),
        ]
        arguments = [command, *FLAGS, f"--user-data-dir={profile}"]
        self._pid = os.posix_spawn(command, arguments, os.environ, file_actions=actions, setsid=True)
        os.close(reads)
        os.close(writes)
        self._received = b""
        self._events: list[dict[str, Any]] = []
        self._count = 0
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Returns what the browser answers."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, page: Path, *, width: int, height: int = 900, dark: bool = False, is_phone: bool = False) -> None:
        """Load a page into a window of that size, in pixels, on a system of that look."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if is_phone else 1, "mobile": is_phone}
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self._events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._next()

    def see(self, expression: str) -> Any:
        """Returns what JavaScript says of the page, once it is drawn."""
        drawn = f"new Promise(done => requestAnimationFrame(() => setTimeout(() => done({expression}))))"
        answer = self.call("Runtime.evaluate", expression=drawn, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press and release keys."""
        for key in keys:
            text = {"Enter": "\r", " ": " "}.get(key, "")
            event = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def point(self, selector: str, *, click: bool = False) -> None:
        """Move the mouse to the middle of the first such element, and click there."""
        found = f"document.querySelector({json.dumps(selector)})"
        box = f"(found => (found.scrollIntoView({{block: 'center'}}), found.getBoundingClientRect().toJSON()))({found})"
        place = self.see(box)
        at = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def save(self, file: Path) -> None:
        """Write a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End it, with all its processes."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._to)
        os.close(self._from)

    def _next(self) -> dict[str, Any]:
        """Returns the next message; an event is kept, too."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._received:
            assert select.select([self._from], [], [], max(end - time.monotonic(), 0))[0], "the browser says nothing"
            data = os.read(self._from, 1 << 20)
            assert data, "the browser has ended"
            self._received += data
        text, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if method := message.get("method"):
            self._events.append(message)
            params = message["params"]
            if method == "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            if (method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning")) or (
                method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert")
            ):
                self.errors.append(str(params))
        return message


def _pipe() -> tuple[int, int]:
    """Makes a pipe whose ends are none of the numbers that the browser gets."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
