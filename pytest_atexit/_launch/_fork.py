"""The launcher `fork`: a prepared interpreter that forks for each program, which saves most of the start.

docs/launchers.md says how a forked program comes to be as one that was started, and what differs by nature.
"""

from __future__ import annotations

import array
import marshal
import os
import secrets
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import takewhile
from typing import IO, TYPE_CHECKING

from pytest_atexit import _system
from pytest_atexit._launch._kind import Kind, kind_of
from pytest_atexit._launch._popen import Child
from pytest_atexit._launch._process import SignalMasks, contents, umask_in
from pytest_atexit._launch._spawn import as_from_a_shell, environment, source_of_input

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_atexit._launch._guardian import Guardian
    from pytest_atexit._launch._invocation import Invocation, Stdin

PATIENCE = 30.0  # seconds for the server to start, or to answer
MOST = 8  # servers
STOP_PATIENCE = 1.0  # seconds for a server to be stopped
STOPPED = (b"T", b"t", b"Z", b"X", b"")  # states of a process that forks no more
LONGEST = 500  # characters of a program's path
LARGEST = 1 << 17  # bytes of a request
STARTS_LOUDLY = "the interpreter writes something when it starts, which forked programs would miss"
PORTABLE = 2  # of marshal's versions: what all interpreters read


class Unusable(Exception):
    """The server can't be used for a program; says why."""


class NoAnswer(str):
    """Why the server has not answered; an answer may still come."""

    __slots__ = ()


class ForkServers:
    """The servers of a session, one for each kind of start."""

    def __init__(self, guardian: Guardian) -> None:
        self._guardian = guardian
        self._owner = os.getpid()
        self._servers: dict[Kind, ForkServer | Unusable] = {}
        self._lock = threading.Lock()

    def launch(
        self, invocation: Invocation, journal: str, entry: Path, stdin: Stdin, preload: tuple[str, ...]
    ) -> Forked:
        """Fork a program.

        Raises:
            Unusable: it must be started in another way.
        """
        env = environment(invocation, journal, entry)
        own = 1 + len(invocation.flags)
        if len(invocation.argv[own]) > LONGEST or sum(map(len, invocation.argv)) + len(invocation.cwd) > LARGEST / 8:
            raise Unusable("its command line is too long")
        status = contents("/proc/self/status")
        masks = SignalMasks.told_in(status)
        if masks.ignores(signal.SIGCHLD):
            raise Unusable("SIGCHLD is ignored, so the server would not be told how a program ends")
        if os.getpid() != self._owner:
            raise Unusable("the server belongs to another process, of which this one was forked")
        kind = kind_of(invocation, env, masks.ignored, preload)
        server = self._server(kind, env)
        try:
            return server.fork(invocation.argv[own:], invocation.cwd, umask_in(status), env, stdin)
        except BaseException:
            with self._lock:
                if server.has_died and self._servers.pop(kind, None) is server:  # the next program gets a new one
                    server.close()
            raise

    def _server(self, kind: Kind, env: dict[str, str]) -> ForkServer:
        with self._lock:
            server = self._servers.pop(kind, None)
            if server is None:
                self._make_room()
                try:
                    server = ForkServer(kind, env, self._guardian)
                except OSError as error:
                    raise Unusable(f"no server could be started: {error}") from error
                except Unusable as error:
                    server = error
            self._servers[kind] = server  # the last one that was used is last
        if isinstance(server, Unusable):
            raise Unusable(str(server))
        return server

    def _make_room(self) -> None:
        """End the one that was not used for the longest time, if there are many."""
        if len(self._servers) < MOST:
            return
        for kind, server in self._servers.items():
            if isinstance(server, Unusable) or not server.children:
                if isinstance(server, ForkServer):
                    server.close()
                del self._servers[kind]
                return
        raise Unusable(f"there are {MOST} servers already, each for another kind of start, and all have programs")

    def close(self) -> None:
        """End all of them."""
        for server in self._servers.values():
            if isinstance(server, ForkServer) and os.getpid() == self._owner:
                server.close()
        self._servers.clear()


def _state(pid: int) -> bytes:
    """Returns the kernel's letter for the state of a process; nothing if it is gone."""
    return contents(f"/proc/{pid}/stat").rpartition(b")")[2].strip()[:1]


class Line:
    """A connection with a server, on which one request at a time is made and answered."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(PATIENCE)
        self.lock = threading.Lock()

    def send(self, request: bytes, passed: Sequence[int]) -> None:
        """Send a request, and descriptors with it."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed))] if passed else []
        self._ours.sendmsg([request], rights)

    def answer(self) -> object:
        """Returns the next answer: a number, or in words why there is none."""
        try:
            data = self._ours.recv(LARGEST)
        except ConnectionError:  # it was killed before it had read the request
            data = b""
        except OSError as error:
            return NoAnswer(f"the fork server does not answer: {error}")
        if not data:
            return NoAnswer("the fork server has died")
        return int(data[1:]) if data[:1] == b"=" else data[1:].decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Let the server know that there will be no more requests."""
        with suppress(OSError):  # it is gone
            self._ours.shutdown(socket.SHUT_RDWR)  # a fork of the tests may have it, too
        self._ours.close()


class ForkServer:
    """A prepared interpreter.

    There are two lines: who asks how a program has ended needn't wait until another one has begun.

    Attributes:
        children: pids of the programs that it has forked and that are not reaped yet.
    """

    def __init__(self, kind: Kind, env: dict[str, str], guardian: Guardian) -> None:
        self.children: set[int] = set()
        self._owner = os.getpid()
        self._guardian = guardian
        self._giving_up = threading.Lock()
        self._forks, self._ends = lines = Line(), Line()
        theirs = [line.theirs.fileno() for line in lines]
        token = secrets.token_hex(16)
        script = f"/{token}/pytest-atexit fork server".ljust(LONGEST + 12, "-")
        self._env = {
            name: value for name, value in env.items() if name not in ("PYTEST_ATEXIT_PATH", "PYTEST_ATEXIT_ENDING")
        }
        self._env["PYTEST_ATEXIT_JOURNAL"] = f"/{token[::-1]}".ljust(len(env["PYTEST_ATEXIT_JOURNAL"]) + 20, "-")
        extra = {"PYTEST_ATEXIT_SERVER": " ".join(map(str, theirs))}
        if kind.preload:
            extra["PYTEST_ATEXIT_PRELOAD"] = ",".join(kind.preload)
        if kind.paths:
            extra["PYTEST_ATEXIT_PATH"] = "\x1f".join(kind.paths)
        with self._forks.theirs, self._ends.theirs, as_from_a_shell() as reset:
            try:
                starting = Child(
                    [*kind.command, script],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env={**self._env, **extra},
                    cwd=kind.folder,
                    pass_fds=theirs,
                    start_new_session=True,
                    preexec_fn=reset,
                )
            except (OSError, ValueError) as error:
                self._hang_up()
                raise Unusable(f"{kind.command[0]} could not be started: {error}") from error
        self._session = starting.pid
        guardian.watch(self._session)
        answer = self._forks.answer()
        if not isinstance(answer, int):
            starting.kill()
            said = starting.communicate()[0].decode("utf-8", "backslashreplace").strip()
            self._hang_up()
            guardian.forget(self._session)
            raise Unusable("\n".join(filter(None, [str(answer), said])))
        starting.wait()  # it has made the server, and is gone
        assert starting.stdout is not None
        self._pid, self._output = answer, starting.stdout
        self._pidfd = _system.pidfd_open(answer)
        os.set_blocking(self._output.fileno(), False)
        if said := (self._output.read() or b"").decode("utf-8", "backslashreplace").strip():
            self.close()
            what = "what is preloaded writes something when it is imported" if kind.preload else STARTS_LOUDLY
            raise Unusable(f"{what}:\n{said}")

    def fork(self, argv: tuple[str, ...], cwd: str, umask: int, env: dict[str, str], stdin: Stdin) -> Forked:
        """Fork a program.

        Raises:
            Unusable: it can't, or has died.
        """
        if self.has_died:
            raise Unusable("the fork server has died")
        request = marshal.dumps((argv, cwd, umask, self._changes(env), stdin is not None), PORTABLE)
        if len(request) > LARGEST:
            raise Unusable("its command line and environment are too long")
        with ExitStack() as ours, ExitStack() as theirs, source_of_input(stdin) as source:
            descriptor = source if isinstance(source, int) else source.fileno()
            if descriptor == subprocess.DEVNULL:
                descriptor = os.open(os.devnull, os.O_RDONLY)
                theirs.callback(os.close, descriptor)
            streams = []
            passed = [descriptor]
            for _ in range(2):
                reader, writer = os.pipe()
                theirs.callback(os.close, writer)
                streams.append(ours.enter_context(open(reader, "rb", 0)))
                passed.append(writer)
            answer = self._exchange(self._forks, request, passed)
            if not isinstance(answer, int):
                raise Unusable(str(answer))
            ours.pop_all()
        return Forked(self, answer, *streams)

    def _changes(self, env: dict[str, str]) -> list[tuple[str, str | None]]:
        """Returns what makes the server's environment that of a program, in its order; None removes a name."""
        before = [name for name in self._env if name in env]
        kept = {name for name, _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, env, strict=False))}
        removed: list[tuple[str, str | None]] = [(name, None) for name in self._env if name not in kept]
        return removed + [item for item in env.items() if item[0] not in kept or self._env[item[0]] != item[1]]

    @property
    def has_died(self) -> bool:
        """Whether it is gone."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def ask(self, child: int) -> int:
        """Returns how a child has ended.

        Raises:
            ChildProcessError: that is not known.
        """
        if os.getpid() != self._owner:
            raise ChildProcessError
        answer = self._exchange(self._ends, marshal.dumps(child, PORTABLE))
        if not isinstance(answer, int):
            raise ChildProcessError(answer)
        return answer

    def reap(self, child: int) -> None:
        """Have a child reaped, which has ended; nobody waits for that."""
        if os.getpid() == self._owner:
            with self._ends.lock, suppress(OSError):  # the server has died
                self._ends.send(marshal.dumps(-child, PORTABLE), ())
        self.children.discard(child)

    def _exchange(self, line: Line, request: bytes, passed: Sequence[int] = ()) -> object:
        """Returns the answer to a request: a number, or in words why there is none."""
        with line.lock:
            answer: object = NoAnswer()
            try:
                line.send(request, passed)
                answer = line.answer()
                if passed and isinstance(answer, int):
                    self.children.add(answer)
            except OSError as error:
                answer = NoAnswer(f"the fork server has died: {error}")
            finally:
                if isinstance(answer, NoAnswer):
                    with self._giving_up:
                        self._give_up()
            return answer

    def _give_up(self) -> None:
        """End the server, which has not answered in time, or an exception (Ctrl-C, a time limit) came first.

        Its next answer would be taken for that to another request. A program that nobody knows of ends with it.
        """
        with suppress(OSError):
            _system.pidfd_send_signal(self._pidfd, signal.SIGSTOP)
        deadline = time.monotonic() + STOP_PATIENCE
        while _state(self._pid) not in STOPPED and time.monotonic() < deadline:
            time.sleep(0.001)
        if not self.has_died:
            for child in contents(f"/proc/{self._pid}/task/{self._pid}/children").split():
                if int(child) not in self.children:
                    os.kill(int(child), signal.SIGKILL)  # a zombie at least: its parent doesn't reap it now
            _system.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._await_end()

    def _await_end(self) -> bool:
        end = select.poll()
        end.register(self._pidfd, select.POLLIN)
        return bool(end.poll(PATIENCE * 1000))

    def _hang_up(self) -> None:
        self._forks.close()
        self._ends.close()

    def close(self) -> None:
        """End it."""
        self._hang_up()
        if not self._await_end():
            _system.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._await_end()
        _system.reap(self._pid, self._pidfd)  # It is a child of ours where pytest is PID 1 or a subreaper.
        os.close(self._pidfd)
        self._output.close()
        self._guardian.forget(self._session)


class Forked:
    """A program that was forked: what is needed of a Popen."""

    def __init__(self, server: ForkServer, pid: int, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._server = server
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr

    @property
    def is_orphan(self) -> bool:
        """Whether its server has died, so that nobody is told how it ends."""
        return self._server.has_died

    def look(self) -> int:
        """Returns how it has ended, as Popen does, and doesn't reap it."""
        return self._server.ask(self.pid)

    def wait(self) -> None:
        """Reap it."""
        self._server.reap(self.pid)
