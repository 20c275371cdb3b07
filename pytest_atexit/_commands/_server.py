"""Answers the questions of one run's processes: a socket, and a thread for each connection. See docs/commands.md."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_subprocess.exceptions import ProcessNotRegisteredError

from pytest_atexit._commands import _answer
from pytest_atexit._commands._answer import Answer, Command
from pytest_atexit._commands._asked import Asked
from pytest_atexit._commands._interpreters import asking_shell, is_interpreter, is_recorded_python, is_shell, shell_line
from pytest_atexit._commands._line import Line, as_called, told_of
from pytest_atexit._commands._shell import asking_text, names_in
from pytest_atexit._commands._stubs import BESIDE, Stubs

PATIENCE = 1.0  # seconds for callbacks in progress when a run is over
SMALL = 1 << 15  # bytes of output that fit into any pipe


class Answers:
    """The answers to one run's processes.

    Args:
        stubs: of the session.
        path: the PATH of the program.
        agent: what has to be on PYTHONPATH for a Python to be recorded.
    """

    def __init__(self, stubs: Stubs, path: str, agent: str) -> None:
        self._stubs, self._agent = stubs, agent
        self._own = stubs.own(path)
        self._folders = self._own, stubs.shared(path)
        self._path = path
        self._name, self._secret = f"pytest-atexit-{secrets.token_hex(8)}", secrets.token_hex(16)
        self._asked: list[Asked] = []
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.known_pids: set[int] = set()  # of stubs that have asked
        self._closed = False
        self._add_registered()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"\0{self._name}")
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, name="pytest-atexit fp=", daemon=True)
        self._acceptor.start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the program."""
        folders = os.pathsep.join(map(str, self._folders))
        return {
            "PATH": f"{folders}{os.pathsep}{self._path}",
            "PYTEST_ATEXIT_COMMANDS": os.pathsep.join([self._name, self._secret, *map(str, self._folders)]),
        }

    def is_stub(self, pid: int) -> bool:
        """Whether a process stands for a command."""
        with contextlib.suppress(OSError):
            return os.fsencode(self._stubs.folder) + b"/" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    def asked(self) -> list[Asked]:
        """Returns what was asked for so far, in order. Callbacks in progress come to their end first."""
        with self._lock:
            asked = [*self._asked]
        deadline = time.monotonic() + PATIENCE
        for each in asked:
            if each.answer and each.answer.has_callback:
                each.answer.await_end(deadline - time.monotonic())
            elif each.answer and each.answer.remaining == 0:
                each.answer.end()
        return asked

    def close(self) -> None:
        """Answer no more, and leave nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            connections, threads = [*self._connections], [*self._threads]
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)  # a callback may be in it
        shutil.rmtree(self._own, ignore_errors=True)

    # ---- the thread that accepts, and those that answer

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.01)  # no descriptor was left
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="pytest-atexit fp=", daemon=True)
            with self._lock:
                self._connections.add(connection)
                self._threads = [each for each in self._threads if each.is_alive()]
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        line = Line(connection)
        try:
            secret, kind, *words = line.hear()
            if not hmac.compare_digest(str(secret), self._secret):
                return
            if kind in ("attach", "call"):
                self.known_pids.add(line.peer())
                (self._attach if kind == "attach" else self._call)(line, *words)
            else:
                questions: dict[str, Callable[..., Any]] = {
                    "open": self._open,
                    "execute": self._execute,
                    "line": self._line_for,
                    "script": self._script,
                    "signal": self._signal,
                    "ended": self._ended,
                }
                line.answer(questions[kind](*words))
        except (OSError, EOFError, ValueError, SyntaxError, LookupError, TypeError):
            pass  # it was killed in the middle, or is none of ours; a child that gets no answer says so
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    # ---- what a Python process asks

    def _open(
        self, asker: Sequence[Any], known: list[Any], encoding: str, options: dict[str, Any], may_be_shell: bool
    ) -> object:
        """Is `subprocess.Popen` to run something?"""
        command = _first_registered([*map(as_called, known)])
        if may_be_shell and _answer.is_registered(command) is False and not _answer.allows_unregistered():
            return "shell", None
        asked, number = self._ask(command, _asker(asker), encoding, as_called(options))
        answer = asked.answer
        if asked.is_refused:
            return "refused", _answer.not_registered(command)
        if answer is None:  # of a shell's command line, what it names itself is passed, too
            return "pass", number, names_in(str(asked.command)) if options.get("shell") else []
        is_over = answer.is_immediate and not answer.wants_input and sum(map(len, answer.output())) <= SMALL
        line = [*self._stubs.command, f"#{number}"]
        return "answered", number, line, is_over, answer.wants_input

    def _execute(
        self, asker: Sequence[Any], known: list[list[str]], facts: list[str], executable: str
    ) -> tuple[str, str | list[str]]:
        """What is one of `os.exec*`, `os.spawn*` or `os.posix_spawn*` to execute?"""
        command = _first_registered(known)
        registered = _answer.is_registered(command)
        if registered:
            return "stub", self._stubs.add(self._own, command[0])
        if registered is False and is_recorded_python(command[1:], facts, self._agent):
            return "pass", []
        asked, _ = self._ask(command, _asker(asker))
        if asked.is_refused:
            return "refused", _answer.not_registered(command)
        return "pass", self._script(asker[0], command, executable, "")

    def _line_for(self, text: str) -> str:
        """What is a shell to be given instead of that text?"""
        registered = self._add_registered()
        beside = self._stubs.beside(self._own)

        def stub_for(word: str, is_path: bool) -> str:
            if os.path.dirname(word) in (*map(str, self._folders), str(beside)):  # it is one already
                return ""
            is_real = is_interpreter(word) and not registered & {word, os.path.basename(word)}
            if "/" in word:
                return self._stubs.add(self._own, word)
            if is_path or is_real:
                return self._stubs.add(beside, word)
            self._add_name(word)
            return ""

        any_stub = self._stubs.add(beside, BESIDE)
        return asking_text(text, stub_for, os.pathsep.join(map(str, self._folders)), any_stub)

    def command_line(self, argv: Sequence[str], folder: str) -> tuple[str, ...]:
        """What is to be executed in place of the program's own command line? Nothing else if it is no shell."""
        return (*self._script(os.getpid(), [*argv], argv[0], folder),)

    def _script(self, pid: int, command: list[str], executable: str, folder: str) -> list[str]:
        """What is to be executed in place of a command that was passed? Nothing else if it is no shell."""
        asking = self._asking(command, executable, pid, folder=folder)
        return asking if asking != command else []

    def _asking(
        self,
        command: list[str],
        executable: str,
        pid: int,
        read_stdin: Callable[[], bytes] = lambda: b"",
        folder: str = "",
    ) -> list[str]:
        """Returns the command line to execute: of a shell, or a script for one, one in which all that it calls asks."""
        line = shell_line(command, executable, pid)
        return asking_shell(line, pid, self._line_for, read_stdin, folder) if line else command

    def _signal(self, number: int, signum: int) -> object:
        """Its `send_signal` was called."""
        answer = self._asked[number].answer
        assert answer is not None
        try:
            answer.receive(signum)
        except Exception as error:  # noqa: BLE001, a callback may raise anything
            return None, told_of(error)
        return answer.returncode, None

    def _ended(self, number: int, returncode: int) -> tuple[int, object]:
        """Its process has ended: returns how, for it may end as no process can, and what its callback has raised."""
        asked = self._asked[number]
        if asked.answer is None:
            asked.returncode = returncode
            return returncode, None
        asked.answer.end(returncode)
        assert asked.answer.returncode is not None
        return asked.answer.returncode, told_of(asked.answer.raised) if asked.answer.raised else None

    # ---- what stubs ask

    def _call(self, line: Line, pids: list[int], asker: str, command: list[str], facts: list[str]) -> None:
        """A command was called by the path of a stub: on behalf of that asker, as far as it is known."""

        def read_stdin() -> bytes:
            line.say(("read",))
            return bytes(line.hear()[0])

        if _answer.is_registered(command) is False:
            if is_shell(command[0]) and is_interpreter(facts[0]):
                line.say(("pass", self._asking(command, facts[0], line.peer(), read_stdin)))
                return
            if is_interpreter(command[0]) and is_recorded_python(command[1:], facts, self._agent):
                line.say(("pass", command))
                return
        who = _asker([*map(int, asker.split())]) if asker else (tuple(pids), False, time.monotonic_ns())
        asked, number = self._ask(command, who)
        if asked.is_refused:
            line.say(("refused", _answer.not_registered(command)))
        elif asked.answer is None:
            line.say(("pass", self._asking(command, facts[0], line.peer(), read_stdin)))
        else:
            self._attach(line, number, is_called=True)

    def _attach(self, line: Line, number: int, *, is_called: bool = False) -> None:
        """This is the process of an answer: it is told what to say, and how and when to end."""
        answer = self._asked[number].answer
        assert answer is not None
        answer.pid = line.peer()
        stdout, stderr = answer.output()
        line.say(("answered", stdout, stderr, answer.wants_input))

        def end() -> None:
            out, err = (text[len(said) :] for text, said in zip(answer.output(), (stdout, stderr), strict=True))
            if answer.raised and is_called:
                err += f"{type(answer.raised).__name__}: {answer.raised}\n".encode(errors="replace")
            with contextlib.suppress(OSError):  # it was killed
                line.say((answer.returncode, out, err))

        if not answer.wants_input:
            answer.when_ended(end)
        while True:
            if not line.awaits(None if answer.has_ended else answer.remaining):
                answer.end()
                continue
            kind, *words = line.hear()
            if kind == "input":
                answer.take_input(*words)
                answer.when_ended(end)
            elif kind == "signal":
                with contextlib.suppress(Exception):  # what a callback raises here has nobody to go to
                    answer.receive(*words)

    def _ask(
        self,
        command: Command,
        asker: tuple[tuple[int, ...], bool, int],
        encoding: str = "",
        options: dict[str, Any] | None = None,
    ) -> tuple[Asked, int]:
        asked = Asked(command, asker[0], asker[2], in_thread=asker[1])
        with self._lock:
            try:
                found = _answer.answer_for(command, encoding, options or {})
                asked.answer = found if isinstance(found, Answer) else None
            except ProcessNotRegisteredError:
                asked.is_refused = True
            self._asked.append(asked)
            return asked, len(self._asked) - 1

    def _add_registered(self) -> set[str]:
        """What is registered is on PATH, wherever the real one is. Returns all names and paths of it."""
        names = _answer.names_registered()
        for name in names:
            if "/" not in name:
                self._add_name(name)
        return names

    def _add_name(self, name: str) -> None:
        if not any((folder / name).is_symlink() for folder in self._folders):
            self._stubs.add(self._own, name)


def _asker(words: Sequence[Any]) -> tuple[tuple[int, ...], bool, int]:
    pid, is_main, moment = words
    return (int(pid),), not is_main, int(moment)


def _first_registered(known: list[Any]) -> Any:  # noqa: ANN401, a command of any form
    """Returns the first of a command's names that is registered, else the first one."""
    return next((command for command in known if _answer.is_registered(command) is not False), known[0])
