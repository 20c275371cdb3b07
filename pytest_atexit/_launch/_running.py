"""A program that stays: waits for its readiness, and ways to end it."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from pytest_atexit import _explain
from pytest_atexit._errors import (
    HandlerFailed,
    HandlerSkipped,
    NotRecorded,
    ProgramEnded,
    ProgramTimeout,
    PytestAtexitError,
    WaitTimeout,
)
from pytest_atexit._launch._arguments import (
    catchable,
    check_allowing,
    check_handlers,
    check_port,
    check_predicate,
    check_seconds,
    check_timeout,
    check_url,
    ending_signal,
    number_of,
    pattern_of,
)
from pytest_atexit._launch._hang import explain_hang, hung_processes
from pytest_atexit._launch._moments import Moment
from pytest_atexit._launch._policy import check_policy
from pytest_atexit._launch._probes import Address, accepts, name_of, registered_instead, takes_argument
from pytest_atexit._launch._process import SignalMasks
from pytest_atexit._launch._run import TEST_ENDED
from pytest_atexit._launch._stacks import stacks_of
from pytest_atexit._launch._tree import TRACKER
from pytest_atexit._status import signal_name

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_atexit._ending import Ending
    from pytest_atexit._handler import Handler
    from pytest_atexit._launch._run import Run
    from pytest_atexit._result import ExitResult
    from pytest_atexit._status import ExitStatus

T = TypeVar("T")
PAUSE = 0.02  # seconds between two looks at what nobody announces
TOO_EARLY = [
    "A signal ended it before the recorder was loaded, which takes Python some milliseconds: let the test wait before",
    "it sends one (wait_for_signal_handler, wait_for_output, wait_for_handlers, …).",
]
NOT_RECORDED = [
    "The recorder is loaded into a Python through PYTHONPATH: -S, -I, -E and a cleaned environment keep it",
    "out, and what is no Python program can't load it.",
]


class RunningProgram:
    """A program that was started. As a context manager, it kills what still runs when the block is left."""

    def __init__(self, run: Run, *, timeout: float, linger: float, must_run: Collection[Ending] = ()) -> None:
        self._run = run
        self._timeout = timeout
        self._linger = linger
        self._must_run = must_run
        self._result: ExitResult | None = None
        self._judged = False
        self._closed = False
        self.failures_allowed = False  # by the test that has its result
        self.on_end: Callable[[], object] = lambda: None  # tells who wants to know at once that its result can be had

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self._judged = self._judged or not self._run.ended
        self._run.kill_tree("when its `with` block was left")
        self.on_end()
        return False

    def __repr__(self) -> str:
        state = "ended" if self._run.ended else "running"
        return f"<RunningProgram {self.pid} {state}: {self.command}>"

    @property
    def pid(self) -> int:
        """The process that was started; also the number of its process group."""
        return self._run.pid

    @property
    def command(self) -> str:
        """A shell line that replays it."""
        return self._run.command

    @property
    def stdout(self) -> str:
        """What it has written so far; undecodable bytes are backslash-escaped."""
        with self._run.output.changed:
            return self._run.output.stdout.decode("utf-8", "backslashreplace")

    @property
    def stderr(self) -> str:
        """What it has written so far; undecodable bytes are backslash-escaped."""
        with self._run.output.changed:
            return self._run.output.stderr.decode("utf-8", "backslashreplace")

    @property
    def handlers(self) -> list[Handler]:
        """Every handler registered in the main process so far, in registration order."""
        records = self._run.records()
        return records[0].record.handlers if records else []

    @property
    def registered(self) -> list[str]:
        """Their names, without those of the standard library itself and of coverage."""
        records = self._run.records()
        return records[0].record.registered if records else []

    @property
    def ran(self) -> list[str]:
        """Names of the handlers of the main process that were called so far."""
        records = self._run.records()
        return records[0].record.ran if records else []

    def wait_for_output(self, regex: str | re.Pattern[str], timeout: float | None = None) -> re.Match[str]:
        """Wait until the pattern is found in stdout or in stderr, and return the match.

        Raises:
            WaitTimeout: it was not found in `timeout` seconds.
            ProgramEnded: the program ended first.
            ValueError, TypeError: that is no regular expression for text.
        """
        __tracebackhide__ = True
        pattern = pattern_of(regex)
        what = f"output that matches {pattern.pattern!r}"
        return self._until(lambda: pattern.search(self.stdout) or pattern.search(self.stderr), timeout, what)

    def wait_for_port(self, port: int, host: str = "127.0.0.1", timeout: float | None = None) -> None:
        """Wait until a TCP connection to the port is accepted.

        Raises:
            WaitTimeout: it was not in `timeout` seconds.
            ProgramEnded: the program ended first.
            ValueError: that is no port.
        """
        __tracebackhide__ = True
        check_port(port)
        self._until(lambda: accepts(host, port), timeout, f"port {port} of {host}")

    def wait_for_url(self, url: str, status: int = 200, timeout: float | None = None) -> None:
        """Wait until a GET of the address, without a proxy, gives this status.

        Raises:
            WaitTimeout: it did not in `timeout` seconds.
            ProgramEnded: the program ended first.
            ValueError: that is no address, or no status.
        """
        __tracebackhide__ = True
        check_url(url, status)
        address = Address(url)
        self._until(lambda: address.gives(status), timeout, f"status {status} of {url}", lambda: [address.answer])

    def wait_for_handlers(self, *names: str, timeout: float | None = None) -> None:
        """Wait until handlers of these names are registered in the main process.

        Raises:
            WaitTimeout: they were not in `timeout` seconds.
            ProgramEnded: the program ended first.
            ValueError: no names were given.
            TypeError: a name is no text.
        """
        __tracebackhide__ = True
        check_handlers(names)
        what = f"the registration of {_explain.listed(names)}"
        self._until(
            lambda: {*names} <= {handler.name for handler in self.handlers},
            timeout,
            what,
            lambda: registered_instead(names, next((each.record for each in self._run.records()), None)),
        )

    def wait_for_signal_handler(self, signum: int | str, timeout: float | None = None) -> None:
        """Wait until the program has a signal handler installed. The kernel is asked; the program can't tell.

        Raises:
            WaitTimeout: it had none in `timeout` seconds.
            ProgramEnded: the program ended first.
            ValueError: there is no such signal, or no program can handle it.
        """
        __tracebackhide__ = True
        number = catchable(signum)
        what = f"a signal handler for {signal_name(number)}"
        self._until(lambda: SignalMasks.of(self.pid).catches(number), timeout, what)

    def wait_for(self, predicate: Callable[..., T], timeout: float | None = None) -> T:
        """Wait until `predicate()`, or `predicate(program)` if it takes an argument, is true, and return its value.

        Raises:
            WaitTimeout: it was not in `timeout` seconds.
            ProgramEnded: the program ended first.
            TypeError: it can't be called.
        """
        __tracebackhide__ = True
        check_predicate(predicate)
        check = (lambda: predicate(self)) if takes_argument(predicate) else predicate
        return self._until(check, timeout, name_of(predicate))

    def during(self, name: str, timeout: float | None = None) -> Moment:
        """Arm a moment: the handler of that name which begins next is held at its start while `with` its block runs.

        Args:
            name: of a handler of the program or of a process under it, whichever begins first.
            timeout: seconds in which it must begin, from the start of the block; None for the configured ones.

        Raises:
            ProgramEnded: the program had ended.
            PytestAtexitError: the handler had already begun, and no other one of that name is registered.
        """
        __tracebackhide__ = True
        check_timeout(timeout)
        return Moment(self._run, partial(self._until, in_daemons=True), name, timeout)

    def send_signal(self, signum: int | str) -> None:
        """Send a signal, by number or name, to the program; after its end nothing happens, as with `Popen`.

        Raises:
            ValueError: there is no such signal.
        """
        __tracebackhide__ = True
        number = number_of(signum)
        self._note_disposition(number)
        self._run.signal(number)

    def interrupt(self) -> None:
        """Send SIGINT to the whole process group, as a terminal does at Ctrl-C."""
        self._note_disposition(signal.SIGINT)
        self._run.signal_group(signal.SIGINT)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None, allow_failures: bool = False) -> ExitResult:
        """Wait for the end and return the result; called again, it reads the record again.

        Args:
            timeout: seconds, None for the configured one.
            allow_failures: accept handlers that raised.

        Raises:
            ProgramTimeout: it had not ended by then, and was killed with everything that it had started.
            NotRecorded: there was no agent in it.
            HandlerFailed: a handler raised.
            HandlerSkipped: a handler was skipped or unfinished that `must_run` under this ending.
            ValueError: a negative timeout.
            TypeError: `allow_failures` is neither True nor False.
        """
        __tracebackhide__ = True
        check_timeout(timeout)
        check_allowing(allow_failures)
        limit = self._timeout if timeout is None else timeout
        if not self._run.await_end(limit):
            self._raise_timeout(limit)
        return self._finished(allow_failures)

    def stop(self, signal: int | str = signal.SIGTERM, grace: float = 10.0, allow_failures: bool = False) -> ExitResult:
        """End it as `docker stop`, Kubernetes and systemd do: a signal and, after the grace, SIGKILL for all of it.

        Args:
            signal: the first signal.
            grace: seconds until SIGKILL.
            allow_failures: accept handlers that raised.

        Raises:
            NotRecorded: there was no agent in it.
            HandlerFailed: a handler raised.
            ValueError: there is no such signal, a bare number looks like a grace, or the grace is no number of seconds.
            HandlerSkipped: a handler was skipped or unfinished that `must_run` under this ending.
        """
        __tracebackhide__ = True
        check_allowing(allow_failures)
        number = ending_signal(signal)
        check_seconds("grace", grace)
        if not self._run.ended:
            sent = time.monotonic()
            self.send_signal(number)
            if not self._run.await_end(grace):
                self._run.grace = grace, number
                self._run.kill_tree(f"as the program was still running {grace:g} s after {signal_name(number)}")
            self._run.grace_used = time.monotonic() - sent
        return self._finished(allow_failures)

    def _note_disposition(self, signum: int) -> None:
        """Ask the kernel, just before a signal is sent, whether a signal handler is installed."""
        if SignalMasks.of(self.pid).catches(signum):
            self._run.caught.add(signum)
        else:
            self._run.caught.discard(signum)

    def _until(
        self,
        check: Callable[[], T | None],
        timeout: float | None,
        what: str,
        why: Callable[[], list[str]] = list,
        *,
        in_daemons: bool = False,
    ) -> T:
        """Returns the first true value of `check`, which is asked again at each output and each PAUSE.

        If there is none, an error says what the test waited for, and in lines from `why` what there was instead.
        `in_daemons`: it may come after the program's end, as long as there are recorded processes below it.
        """
        __tracebackhide__ = True
        check_timeout(timeout)
        limit = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        changed = self._run.output.changed
        while True:
            # First: a value that came just before the end counts.
            ended = self._run.is_over if in_daemons else self._run.ended
            if value := check():
                return value
            if ended:
                headline = f"the program ended ({self._run.status}) while the test waited for {what}"
                self._raise(ProgramEnded, [headline, *why()])
            if (left := deadline - time.monotonic()) <= 0:
                self._raise(WaitTimeout, [f"the test waited {limit:g} s for {what}, in vain", *why()])
            with changed:
                changed.wait(min(left, PAUSE))

    def _raise(self, error: type[ProgramEnded | WaitTimeout], lines: list[str]) -> None:
        __tracebackhide__ = True
        lines = [*lines, *_explain.output("stdout", self.stdout), *_explain.output("stderr", self.stderr)]
        raise error("\n".join(lines))

    def _finished(self, allow_failures: bool) -> ExitResult:
        """The result of a program that has ended."""
        __tracebackhide__ = True
        self._judged = True
        self.failures_allowed = allow_failures
        result = self._result = self._run.result(self._run.await_descendants(self._linger))
        self.on_end()
        if result is None:
            raise self._not_recorded(NOT_RECORDED if self._run.status.signal is None else TOO_EARLY, None)
        if unrecorded := self._run.replacement(result.pid):
            raise self._not_recorded(unrecorded.lines(), result)
        if any(record.lost for record in (result, *result.children)):
            raise NotRecorded(
                f"something could not be written down, so nothing is certain\n{_explain.report(result)}", result
            )
        if gone := self._run.agent_vanished:
            raise NotRecorded(
                f"while the program ran, {gone} was removed, from which Python loads the recorder: Python processes "
                f"that it started may be missing\n{_explain.report(result)}",
                result,
            )
        if self._run.refused:
            from pytest_atexit._commands import raise_refused  # noqa: PLC0415, few tests need it

            raise_refused(result, self._run.refused)
        if not allow_failures:
            check_failures(result)
        check_policy(result, self._must_run)
        return result

    def _not_recorded(self, why: list[str], result: ExitResult | None) -> NotRecorded:
        lines = [
            f"the program ran ({self._run.status}), but was not recorded, so nothing is known of its handlers",
            f"$ {self._run.command}",
            *why,
            *_explain.output("stdout", self.stdout),
            *_explain.output("stderr", self.stderr),
        ]
        return NotRecorded("\n".join(lines), result)

    def _raise_timeout(self, limit: float) -> None:
        __tracebackhide__ = True
        self._judged = True
        run = self._run
        run.output.collect_in_thread()  # while we ask for stacks
        lives = run.lives()
        living = {process for process in run.living(lives) if not process.runs(TRACKER)}  # which waits for the others
        alive = [process for process in run.processes(lives) if process in living]
        inside = {outside: pid for pid, outside in (run.pids_outside() or {}).items() if pid != 1}
        hung = hung_processes(run.records(lives), living, run.folders, inside)
        held = run.moments.lines({process.pid for process in alive})

        def ask() -> None:
            run.was_asked = not run.ended
            stacks = stacks_of(alive, run.output)
            for each in hung:
                each.threads = stacks.get(each.pid)

        run.overran = limit
        run.kill_tree(f"as the program was still running after {limit:g} s", before_kill=ask)
        lines = [*held, *explain_hang(hung)]
        run.hung = next((each.statement() for each in hung if each.recorded.record.role == "main"), "")
        result = self._result = run.result()
        self.on_end()
        headline = f"the program was still running after {limit:g} s and was killed"
        more = "For a higher limit: timeout=, or atexit_timeout in pytest's ini file."
        if run.invocation.asked and "was still running" in run.hung:
            more += (
                f" (ending={str(run.invocation.asked)!r} comes behind the program's last statement, to which it never "
                "came. A program that runs until it is stopped: capexit.start, and then stop.)"
            )
        raise ProgramTimeout("\n".join([headline, *lines, more]), result)

    # What follows is for CapExit.

    def close(self) -> list[int]:
        """End and forget what is left, but for its result; returns the pids that had to be killed."""
        try:
            killed = self._run.kill_tree(TEST_ENDED)
            _ = self.result  # as long as it can be read
            self.on_end()
            return killed
        finally:
            self._run.close()
            self._closed = True

    def unattended_failure(self) -> str:
        """Returns what is wrong if it ended by itself, nobody waited for it, and a handler raised; else nothing."""
        if self._run.ended and not self._judged:
            try:
                self._finished(allow_failures=False)
            except (HandlerFailed, HandlerSkipped) as error:
                return f"{type(error).__name__}: {error}"
            except NotRecorded:
                pass
            except PytestAtexitError as error:
                return f"PytestAtexitError: {error}"
        return ""

    def registrants(self) -> dict[int, str]:
        """Returns the modules whose code has registered handlers, by the handlers' numbers."""
        return self._run.registrants()

    def timeline(self) -> list[str]:
        """Returns the exit timeline as of now, in which what is running stands out, of each process with handlers."""
        with contextlib.suppress(PytestAtexitError):
            records = [replace(each.record, still_running=True) for each in self._run.records()]
            return [line for record in records if record.handlers for line in _explain.timeline(record)]
        return []

    @property
    def is_over(self) -> bool:
        """Whether its result doesn't change any more: the test has it, or could have had it."""
        return self._closed or self._result is not None

    @property
    def cwd(self) -> str:
        """Its working folder."""
        return self._run.invocation.cwd

    @property
    def status(self) -> ExitStatus | None:
        """How it ended; None while it runs, and where that can't be known."""
        with contextlib.suppress(PytestAtexitError):
            return self._run.status if self._run.ended else None
        return None

    @property
    def result(self) -> ExitResult | None:
        """The latest result, if there is one: the test has asked for it, or the program has ended."""
        if self._result is None and self._run.ended:
            with contextlib.suppress(PytestAtexitError):  # where that matters, it was raised, or it is after the test
                self._result = self._run.result()
        return self._result


def check_failures(result: ExitResult) -> None:
    """Raise HandlerFailed if a handler of the main process or of a child raised."""
    __tracebackhide__ = True
    records = [record for record in (result, *result.children) if record.told.raised]
    failed = [handler for record in records for handler in record.timeline if handler.state == "failed"]
    if failed:
        names = _explain.listed(dict.fromkeys(f"{h.name} ({h.exception})" for h in failed))
        what = "a handler raised" if all(h.kind == "atexit" for h in failed) else "work at exit raised an exception"
        headline = f"{what}, which Python itself ignores ({result.status}): {names}"
        lines = [headline, "allow_failures=True accepts that.", "", *_explain.story(result)]
        raise HandlerFailed("\n".join(lines), result)
