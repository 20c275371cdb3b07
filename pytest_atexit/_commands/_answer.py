"""What pytest-subprocess answers: its own dispatcher decides, and its own FakePopen is what recorders keep."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from pytest_subprocess import FakeProcess
from pytest_subprocess.exceptions import ProcessNotRegisteredError
from pytest_subprocess.fake_popen import FakePopen
from pytest_subprocess.process_dispatcher import ProcessDispatcher

from pytest_atexit._errors import LaunchError

Command = str | bytes | list[Any] | tuple[Any, ...]


class Passed:
    """Stands for a process that is to be a real one: the child starts it."""

    def __init__(self, command: Command, **_: object) -> None:
        self.args = command


class Answer(FakePopen):
    """A command that is answered. Its process is in the child, so no thread has to wait in its place.

    Attributes:
        encoding: in which text is written; empty for the default.
        raised: what the callback has raised.
    """

    encoding = ""
    raised: Exception | None = None

    def configure(self, **kwargs: Any) -> None:  # noqa: ANN401, the options of a Popen
        """Prepare all output, whether or not the child's Popen wants it in pipes: its process writes it."""
        self._asked = kwargs
        self._ending = threading.Lock()
        self._ended = threading.Event()
        self._on_end: Callable[[], object] = lambda: None
        prepared: dict[str, Any] = {"stdin": kwargs.get("stdin"), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        is_text: Any = bool(self.encoding)
        try:
            super().configure(**prepared, text=is_text)
        except UnicodeDecodeError:  # registered bytes are no text, and the child will see that
            super().configure(**prepared)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The options of the child's Popen, as far as they are plain data."""
        return self._asked

    def run_thread(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        if self._callback:
            self._real_callback, self._callback = self._callback, self._called_back
            super().run_thread()
        elif self._wait_timeout is None:
            self.end()

    def _called_back(self, *args: object, **kwargs: object) -> None:
        try:
            self._real_callback(*args, **kwargs)
        except Exception as error:
            self.raised = error
            raise
        finally:
            self.end()

    @property
    def remaining(self) -> float | None:
        """Seconds until it ends by itself; None if something else decides."""
        if self._callback or self._wait_timeout is None:
            return None
        return max(0.0, self._began + self._wait_timeout - time.monotonic())

    @property
    def is_immediate(self) -> bool:
        """Whether it has no duration."""
        return self._callback is None and self._wait_timeout is None

    @property
    def has_callback(self) -> bool:
        """Whether something of the test's runs while it lasts."""
        return self._callback is not None

    @property
    def wants_input(self) -> bool:
        """Whether a function of the test's gets what is written to its stdin."""
        return self._FakePopen__stdin_callable is not None  # type: ignore[attr-defined]

    def take_input(self, data: bytes) -> None:
        """Give the function what was written to stdin."""
        self._handle_stdin(data.decode(self.encoding, "replace") if self.text_mode else data)

    def receive(self, signum: int) -> None:
        """It gets a signal: the registration says what that does."""
        self.send_signal(signum)
        if self.returncode is not None:
            self.end()

    def end(self, returncode: int | None = None) -> None:
        """It ends now, unless it has: as is registered, or with this."""
        with self._ending:
            if self.has_ended:
                return
            if self.returncode is None:
                self.returncode = self._returncode if returncode is None else returncode
            self._ended.set()
            on_end = self._on_end
        on_end()

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._ended.is_set()

    def await_end(self, seconds: float) -> None:
        """Return when it has ended, or after so many seconds."""
        self._ended.wait(max(0.0, seconds))

    def when_ended(self, call: Callable[[], object]) -> None:
        """Have this called once, when it has ended."""
        with self._ending:
            self._on_end = call
            is_late = self.has_ended
        if is_late:
            call()

    def output(self) -> tuple[bytes, bytes]:
        """Returns all that it says, as of now."""
        return self._encoded(self.stdout), self._encoded(self.stderr)

    def _encoded(self, stream: Any) -> bytes:  # noqa: ANN401, one of three kinds of streams
        content = stream.getvalue() if stream else b""
        if isinstance(content, bytes):
            return content
        with contextlib.suppress(UnicodeEncodeError, LookupError):
            return str(content).encode(self.encoding)
        return str(content).encode("utf-8", "surrogateescape")


class Dispatcher(ProcessDispatcher):
    """As pytest-subprocess's own, but what is to be real is not started here."""

    built_in_popen = Passed
    encoding: ClassVar[str] = ""
    lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def _prepare_instance(cls, _: Any, command: Any, kwargs: Any, process: Any) -> Any:  # noqa: ANN401, see there
        kind = type("Answer", (Answer,), {"encoding": cls.encoding})
        return super()._prepare_instance(kind, command, kwargs, process)


def check_active(fp: object) -> None:
    """Raise a LaunchError for what is no fixture, or answers for nothing: all that are active answer together."""
    if not isinstance(fp, FakeProcess):
        msg = f"fp= takes pytest-subprocess's fixture `fp`, not {type(fp).__name__}"
        raise LaunchError(msg)
    if fp not in ProcessDispatcher.process_list:
        msg = (
            "fp= takes a fixture `fp` that is active: this FakeProcess has not been entered (with FakeProcess() as "
            "fp: ...), or has been left"
        )
        raise LaunchError(msg)


def is_registered(command: Command) -> bool | None:
    """Whether a command is registered, to be faked; None if it is to be passed."""
    for fake in reversed(ProcessDispatcher.process_list):
        for known, processes in list(fake.definitions.items()):
            if processes and known == command:
                return None if isinstance(processes[0], bool) else True
    return False


def allows_unregistered() -> bool:
    """Whether what isn't registered may run."""
    return bool(ProcessDispatcher.process_list) and ProcessDispatcher.process_list[-1]._allow_unregistered  # noqa: SLF001


def answer_for(command: Command, encoding: str, options: Mapping[str, Any]) -> Answer | Passed:
    """Returns the answer, which has begun: fixture and recorders know of the call.

    Raises:
        ProcessNotRegisteredError: it is not registered.
    """
    with Dispatcher.lock:
        if not ProcessDispatcher.process_list:
            raise ProcessNotRegisteredError(not_registered(command))
        Dispatcher.encoding = encoding
        return cast("Answer | Passed", Dispatcher.dispatch(cast("Any", command), **options))


def not_registered(command: Command) -> str:
    """Returns what pytest-subprocess says."""
    text = command if isinstance(command, str) else " ".join(str(item) for item in command)
    return f"The process '{text}' was not registered."


def names_registered() -> set[str]:
    """Returns the names of programs that are registered, without those that only patterns match."""
    names = set()
    for fake in list(ProcessDispatcher.process_list):
        for known in list(fake.definitions):
            first = next(iter(known), None)
            name = getattr(first, "program", first)
            if isinstance(name, str) and name:
                names.add(name)
    return names
