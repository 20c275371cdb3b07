"""Commands that are answered by `fp=` are processes: signals, waits, asyncio, and programs that change themselves."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from pytest_subprocess import FakeProcess
from pytest_subprocess.fake_popen import FakePopen

from pytest_atexit import CapExit, CommandNotRegistered, ExitResult, HandlerFailed, LaunchError


def dies_of(*signals: int) -> Callable[[FakePopen, int], None]:
    """A `signal_callback`: these end the process, all others are ignored."""

    def receive(process: FakePopen, signum: int) -> None:
        if signum in signals:
            process.returncode = -signum

    return receive


def test_a_process_that_ignores_sigterm_is_killed(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """`wait(timeout)` raises as long as it lives, whatever sends the signals; the recorder has all of them."""
    stubborn = fp.register(["worker"], wait=60, signal_callback=dies_of(signal.SIGKILL), occurrences=2)
    plain = fp.register(["plain"], wait=60)
    polite = fp.register(["polite"], wait=60, signal_callback=dies_of(signal.SIGTERM, signal.SIGINT), occurrences=3)

    def program() -> None:
        import atexit
        import os
        import signal
        import subprocess

        workers = [subprocess.Popen(["worker"]), subprocess.Popen(["worker"], start_new_session=True)]
        plain = subprocess.Popen(["plain"])
        politely = [subprocess.Popen(["polite"], start_new_session=True) for _ in range(3)]

        @atexit.register
        def stop_workers() -> None:
            for worker in plain, *workers:
                worker.terminate()
                try:
                    worker.wait(timeout=0.05)
                except subprocess.TimeoutExpired as error:
                    print(error, worker.poll())
            plain.kill()
            workers[0].kill()
            os.killpg(workers[1].pid, signal.SIGKILL)
            politely[0].terminate()
            os.kill(politely[1].pid, signal.SIGTERM)
            os.killpg(politely[2].pid, signal.SIGINT)
            print([each.wait() for each in [plain, *workers, *politely]])

    result = answered(program)
    *expired, codes = result.stdout.splitlines()
    assert expired == [
        f"Command '['{name}']' timed out after 0.05 seconds None" for name in ("plain", "worker", "worker")
    ]
    assert codes == "[-9, -9, -9, -15, -15, -2]"
    assert plain.first_call.received_signals() == (signal.SIGTERM, signal.SIGKILL)
    assert [call.received_signals() for call in stubborn.calls] == [(signal.SIGTERM, signal.SIGKILL), (signal.SIGTERM,)]
    assert [call.received_signals() for call in polite.calls] == [
        (signal.SIGTERM,),
        (signal.SIGTERM,),
        (signal.SIGINT,),
    ]
    assert [call.returncode for call in polite.calls] == [-15, -15, -2]


def test_a_signal_after_the_end_changes_what_the_callback_says(
    answered: Callable[..., ExitResult], fp: FakeProcess
) -> None:
    """As pytest-subprocess has it: a process without duration can be signalled all the same."""

    def program() -> None:
        import subprocess

        process = subprocess.Popen("test", shell=True)
        assert process.poll() == 0
        process.terminate()
        print(process.returncode, process.poll(), process.wait())

    recorder = fp.register("test", signal_callback=dies_of(signal.SIGTERM))
    assert answered(program).stdout == "-15 -15 -15\n"
    assert recorder.first_call.received_signals() == (signal.SIGTERM,)


def test_asyncio_processes_are_answered(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """Both functions, with pipes, text in, signals and waits; what is not registered raises."""
    fp.register(["docker", "ps"], stdout="one\ntwo\n", stderr="err", returncode=3)
    fp.register("docker ps | sort", stdout="shell")
    fp.register(["ask"], stdin_callable=lambda text: {"stdout": text.upper()})
    fp.register(["worker"], wait=60, signal_callback=dies_of(signal.SIGTERM))

    def program() -> None:
        import asyncio
        import atexit
        from asyncio.subprocess import PIPE

        async def work() -> None:
            process = await asyncio.create_subprocess_exec("docker", "ps", stdout=PIPE, stderr=PIPE)
            print(await process.stdout.readline(), await process.communicate(), process.returncode)
            process = await asyncio.create_subprocess_shell("docker ps | sort", stdout=PIPE)
            print(await process.communicate(), await process.wait())
            process = await asyncio.create_subprocess_exec("ask", stdin=PIPE, stdout=PIPE)
            print((await process.communicate(b"who"))[0])
            process = await asyncio.create_subprocess_exec("worker")
            try:
                await asyncio.wait_for(process.wait(), 0.05)
            except asyncio.TimeoutError:
                process.terminate()
            print(await process.wait())
            try:
                await asyncio.create_subprocess_exec("nothing")
            except Exception as error:
                print(repr(error))

        atexit.register(asyncio.run, work())

    with pytest.raises(CommandNotRegistered, match=r"\['nothing'\], called by the handler run") as caught:
        answered(program)
    assert caught.value.result.stdout.splitlines() == [
        r"b'one\n' (b'two\n', b'err') 3",
        "(b'shell', None) 0",
        "b'WHO'",
        "-15",
        "ProcessNotRegisteredError(\"The process 'nothing' was not registered.\")",
    ]


def test_a_program_that_gives_everything_up_still_asks(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """It has closed all descriptors, forked as a daemon, changed its folder and forgotten its environment."""
    fp.register(["docker", fp.any()], stdout="said", occurrences=20)

    def program() -> None:
        import atexit
        import os
        import subprocess
        import threading

        def call(name: str, **options: object) -> None:
            assert subprocess.check_output(["docker", name], **options) == b"said"

        class Held:
            def __del__(self) -> None:
                call("del")

        os.chdir("/")
        os.closerange(3, 256)
        os.environ.clear()
        call("closed")
        thread = threading.Thread(target=call, args=("thread",))
        thread.start()
        thread.join()
        held = Held()
        del held
        call("empty", env={}, close_fds=False, preexec_fn=os.setpgrp)
        atexit.register(call, "handler")
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 256)
            os.open(os.devnull, os.O_RDWR), os.dup(0), os.dup(0)
            if os.fork() == 0:
                call("daemon")
            os._exit(0)
        os.wait()

    result = answered(program)
    names = [command.command[1] for command in result.commands]
    assert sorted(names) == sorted(["closed", "thread", "del", "empty", "daemon", "handler"])
    assert (result.stderr, result.left_running) == ("", [])


def test_popen_is_itself(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """The class, its subclasses, signature and errors are those of the library; and what it was given stays so."""
    fp.register(["docker", fp.any()], occurrences=10)

    def program() -> None:
        import inspect
        import subprocess
        from subprocess import Popen

        class Mine(Popen):
            def wait(self, timeout: float | None = None) -> int:
                return super().wait(timeout) + 1

        def failing(*args: object, **options: object) -> None:
            try:
                Popen(*args, **options)
            except (TypeError, FileNotFoundError) as error:
                print(error)

        print(Mine(["docker", "x"]).wait(), Mine(iter(["docker", "x"])).wait())
        command = ("docker", "x")
        with Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
            print(
                process.stdout.read(),
                process.stdin.write("text"),
                process.stdin.encoding.lower(),
                process.args is command,
            )
        print(isinstance(process, subprocess.Popen), type(process) is subprocess.Popen, process)
        print(list(inspect.signature(Popen).parameters)[:3])
        failing(["docker", 1])
        failing()
        failing(["docker"], -1, bufsize=1)
        failing(["docker", "x"], cwd="/no/such/folder")

    result = answered(program)
    *lines, number, nothing, twice, folder = result.stdout.splitlines()
    assert lines == [
        *("1 1", " 4 utf-8 True", "True True <Popen: returncode: 0 args: ('docker', 'x')>"),
        "['args', 'bufsize', 'executable']",
    ]
    assert "not int" in number
    assert "missing 1 required positional argument: 'args'" in nothing
    assert "multiple values for argument 'bufsize'" in twice
    assert folder == "[Errno 2] No such file or directory: '/no/such/folder'"


def test_handlers_are_those_of_a_run_without(capexit: CapExit, fp: FakeProcess) -> None:
    """Lists, kinds and order: the stand-in registers nothing and starts no thread of the program's."""

    def program() -> None:
        import asyncio
        import atexit
        import concurrent.futures
        import logging
        import os
        import subprocess
        import weakref

        def call() -> None:
            subprocess.run(["uname"], check=True)
            os.system("uname")

        atexit.register(call)
        weakref.finalize(program_of := type("Held", (), {}), call)
        atexit.register(asyncio.run, asyncio.sleep(0))
        concurrent.futures.ThreadPoolExecutor().submit(call).result()
        call()
        print(logging, program_of)

    fp.register(["uname"], occurrences=10)
    plain, result = capexit.run(program), capexit.run(program, fp=fp)
    assert len(result.commands) == 8
    for name in "registered", "ran", "skipped", "unregistered":
        assert getattr(result, name) == getattr(plain, name)
    for name in "handlers", "timeline":
        told = [
            [(each.kind, each.name, each.origin, each.state) for each in getattr(run, name)] for run in (plain, result)
        ]
        assert told[0] == told[1]


def test_nothing_is_left(capexit: CapExit, fp: FakeProcess, marked: Callable[[str], list[int]]) -> None:
    """No thread, descriptor, file or process, also of commands that nobody has waited for."""
    fp.register(["docker", fp.any()], wait=60, occurrences=10)
    capexit.run("", fp=fp)
    threads, descriptors = threading.active_count(), os.listdir("/proc/self/fd")

    def program() -> None:
        import os
        import subprocess

        subprocess.Popen(["docker", "a"])
        subprocess.Popen(["docker", "b"], start_new_session=True)
        os.spawnlp(os.P_NOWAIT, "docker", "docker", "c")

    result = capexit.run(program, fp=fp, env={"MARK": (mark := f"nothing left {os.getpid()}")})
    assert ({*result.commands[0].command}, result.left_running) == ({"docker", "a"}, [])
    assert len(result.commands) == 3
    assert (threading.active_count(), marked(mark)) == (threads, [])
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (subprocess, r"fp= takes pytest-subprocess's fixture `fp`, not module"),
        (FakeProcess(), r"fp= takes a fixture `fp` that is active: .* has not been entered .*, or has been left"),
    ],
)
def test_what_is_no_active_fixture_is_refused(capexit: CapExit, fake: object, message: str) -> None:
    """Nothing is started."""
    with pytest.raises(LaunchError, match=message):
        capexit.run("", fp=fake)


def test_a_handler_that_raises_fails_as_ever(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """What the command's failure makes of the handler is the handler's."""
    fp.register(["docker", "stop"], returncode=1)
    program = "import atexit, subprocess\natexit.register(subprocess.check_call, ['docker', 'stop'])"
    with pytest.raises(HandlerFailed, match=r"check_call \(subprocess.CalledProcessError"):
        answered(program)


@pytest.mark.parametrize(
    "options", [{"launcher": "spawn"}, {"launcher": "fork"}, {"python": os.path.realpath(sys.executable)}]
)
def test_every_launcher_answers(answered: Callable[..., ExitResult], fp: FakeProcess, options: dict) -> None:
    """A forked program, a fresh one, and one of another interpreter, which has nothing installed."""
    fp.register(["docker", "ps"], stdout="listed")
    assert answered("import subprocess\nprint(subprocess.getoutput('docker ps'))", **options).stdout == "listed\n"


def test_pid_1_of_a_namespace_asks(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """Its pid is the one outside, as in its record."""
    fp.register(["docker"], occurrences=2)
    program = "import atexit, os, subprocess\natexit.register(subprocess.call, ['docker'])\nos.system('docker')"
    result = answered(program, as_pid1=True)
    assert [(command.pid, command.handler) for command in result.commands] == [(result.pid, None), (result.pid, "call")]


def test_functions_themselves_are_handlers(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """There is no frame above them."""
    fp.register(["docker", fp.any()], occurrences=9)

    def program() -> None:
        import atexit
        import os
        import subprocess

        atexit.register(os.execvp, "docker", ["docker", "5"])
        atexit.register(os.system, "docker 4")
        atexit.register(os.posix_spawnp, "docker", ["docker", "3"], os.environ)
        atexit.register(os.popen, "docker 2")
        atexit.register(subprocess.Popen, ["docker", "1"])

    result = answered(program)
    told = {(command.command[1], command.handler) for command in result.commands}
    assert told == {("1", "Popen"), ("2", "popen"), ("3", "posix_spawnp"), ("4", "system"), ("5", "execvp")}
    assert [handler.module for handler in result.handlers[:3]] == ["os", "posix", "posix"]


def test_a_matrix_shares_the_registrations(capexit: CapExit, fp: FakeProcess) -> None:
    """Each ending has commands of its own."""
    fp.register(["docker"], occurrences=2)
    program = "import atexit, subprocess\natexit.register(subprocess.call, ['docker'])"
    matrix = capexit.matrix(program, endings=["return", "sys.exit", "SIGKILL"], fp=fp)
    assert [len(result.commands) for result in matrix.values()] == [1, 1, 0]
