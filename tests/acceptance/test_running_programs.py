"""Programs that stay: waits, signals, stopping, and what is left of them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from pytest_atexit import Ending, WaitTimeout

SERVER = """
import atexit, http.server, signal, sys

@atexit.register
def close():
    print("closed", flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/" else 404)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
if "graceful" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def start(capexit):
    """A function that starts the server and returns it when it listens."""

    def started(*options):
        port = capexit.free_port()
        server = capexit.start(SERVER, port, *options)
        server.wait_for_port(port)
        server.address = f"http://127.0.0.1:{port}"
        return server

    return started


def test_waits_return_when_it_is_ready(start):
    """Each wait returns what there is to return, at once where that is there already."""
    server = start("graceful")
    assert server.wait_for_output(r"re(\w+)")[1] == "ady"
    assert server.wait_for_output(re.compile("READY", re.IGNORECASE))
    server.wait_for_url(f"{server.address}/")
    server.wait_for_url(f"{server.address}/no-such-page", status=404)
    server.wait_for_handlers("close")
    server.wait_for_signal_handler(signal.SIGTERM)
    assert server.wait_for(lambda: "value") == "value"
    assert server.wait_for(lambda program: program.pid) == server.pid


def test_waits_in_vain_tell_what_there_was(start):
    """The status that the address had, and the handler that was meant."""
    server = start()
    with pytest.raises(WaitTimeout, match="the last answer had status 404"):
        server.wait_for_url(f"{server.address}/no-such-page", timeout=0.05)
    with pytest.raises(WaitTimeout, match=r"'clsoe' was not registered. Did you mean 'close'\?\nRegistered were:\n"):
        server.wait_for_handlers("clsoe", timeout=0.05)


def test_what_is_known_so_far(start):
    """A running program can be looked at."""
    server = start()
    assert server.registered == [handler.name for handler in server.handlers] == ["close"]
    assert server.ran == []
    server.wait_for_output("ready\n")
    assert server.stdout == "ready\n"
    server.interrupt()
    server.wait()
    assert server.ran == ["close"]


def test_stop_within_the_grace(start):
    """SIGTERM ends it in order; the time that it took is told."""
    result = start("graceful").stop(grace=10)
    assert result.ran == ["close"]
    assert result.returncode == 0
    assert not result.killed_after_grace
    assert 0 < result.grace_used < 10


def test_stop_by_another_signal(start):
    """What systemd calls KillSignal."""
    result = start().stop(signal=signal.SIGINT, grace=10)
    assert result.ran == ["close"]
    assert result.ending is Ending.SIGINT


def test_signals_may_be_named(start):
    """As endings are."""
    server = start("graceful")
    server.wait_for_signal_handler("sigterm")
    with pytest.raises(ValueError, match="there is no signal 'SIGTREM'"):
        server.send_signal("SIGTREM")
    assert server.stop("SIGTERM", grace=10).ran == ["close"]


def test_stop_kills_after_the_grace(start):
    """What ignores SIGTERM is killed, and the result says so."""
    result = start("stubborn").stop(grace=0.3)
    assert result.killed_after_grace
    assert result.grace_used >= 0.3
    result.assert_not_ran("close", by="SIGKILL")
    assert result.reason == "SIGKILL ended it, for it was still running 0.3 s after SIGTERM"


@pytest.mark.parametrize(("way", "signum"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_terminate_and_kill(start, way, signum):
    """They send what `Popen` sends."""
    server = start()
    getattr(server, way)()
    assert server.wait().status.signal == signum


def test_signals_after_the_end_do_nothing(capexit):
    """As with `Popen`, and no other process can be hit."""
    program = capexit.start("pass")
    program.wait()
    program.send_signal(signal.SIGKILL)
    program.interrupt()
    program.terminate()
    assert program.wait().returncode == 0


def test_interrupt_reaches_the_whole_group(capexit):
    """Ctrl-C in a terminal goes to the children, too."""
    program = """
    import os, sys, time
    pid = os.fork()
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    if pid:
        os.waitpid(pid, 0)
    """
    started = capexit.start(program)
    started.wait_for(lambda: started.stdout.count("ready") == 2)
    started.interrupt()
    assert started.wait().stdout.count("interrupted") == 2


def test_the_disposition_just_before_a_signal_is_known(start):
    """A program that takes its signal handler away and kills itself is told from one that had none."""
    program = start()
    program.terminate()
    assert program.wait().reason == "SIGTERM had its default action: no signal handler was installed"


def test_wait_again_returns_the_result(start):
    """A result can be had more than once."""
    server = start()
    server.interrupt()
    assert server.wait().ran == server.wait().ran == ["close"]


def test_leaving_the_block_kills(start, lives):
    """Also what the program has started."""
    with start() as server:
        pass
    assert not lives(server.pid)


def test_descendants_may_outlive_it_for_a_while(capexit):
    """What ends soon is awaited, and its handlers are in the result."""
    program = """
    import atexit, os, select
    if os.fork() == 0:
        atexit.register(print)
        select.select([], [], [], 0.3)
    """
    result = capexit.run(program)
    assert [child.ran for child in result.children] == [["print"]]
    assert result.left_running == []


def test_a_child_that_was_just_started_is_awaited(capexit):
    """Also one whose interpreter has not come to record anything when the program ends."""
    program = """
    import subprocess, sys
    code = "import atexit, select; atexit.register(print); select.select([], [], [], 0.3)"
    subprocess.Popen([sys.executable, "-c", code])
    """
    result = capexit.run(program)
    assert [(child.role, child.ran) for child in result.children] == [("subprocess", ["print"])]
    assert result.left_running == []


@pytest.mark.atexit(linger=0.1)
def test_what_lives_longer_is_listed(capexit):
    """It goes on, and is killed at the end of the test, be it Python or not."""
    program = """
    import os, subprocess, time
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(60)
    print(pid, subprocess.Popen(["sleep", "60"]).pid)
    """
    result = capexit.run(program)
    assert result.left_running == sorted(map(int, result.stdout.split()))
    assert result.duration < 30


def test_a_reader_that_nobody_closes_delays_nothing(capexit):
    """A grandchild that holds stdout open doesn't hold the result up."""
    result = capexit.run("import subprocess; subprocess.Popen(['sleep', '60']); print('done')")
    assert result.stdout == "done\n"
    assert result.duration < 30


def test_much_output_blocks_nobody(capexit):
    """A program can write as much as it likes while nobody waits for it."""
    program = capexit.start("import os\nfor _ in range(100): os.write(1, bytes(65536)); os.write(2, bytes(65536))")
    result = program.wait()
    assert len(result.stdout_bytes) == len(result.stderr_bytes) == 100 * 65536


def test_undecodable_output_is_escaped(capexit):
    """Nothing is lost: the bytes are there, too."""
    result = capexit.run(r"import os; os.write(1, b'caf\xe9 \xc3\xa9')")
    assert result.stdout == "caf\\xe9 é"
    assert result.stdout_bytes == b"caf\xe9 \xc3\xa9"


@pytest.mark.parametrize(("stdin", "expected"), [(None, 0), ("héllo", 6), (b"\0" * 10, 10), ("x" * 200_000, 200_000)])
def test_stdin(capexit, stdin, expected):
    """Empty by default; text, bytes, and more than a pipe holds."""
    program = "import sys; print(len(sys.stdin.buffer.read()), sys.stdin.isatty())"
    assert capexit.run(program, stdin=stdin).stdout == f"{expected} False\n"


def test_stdin_from_an_open_file(capexit, tmp_path):
    """As subprocess takes it."""
    file = tmp_path / "input"
    file.write_text("hello")
    with file.open() as stream:
        assert capexit.run("print(input())", stdin=stream).stdout == "hello\n"


def test_environment_folder_arguments_and_flags(capexit, tmp_path, monkeypatch):
    """They are those of the test, as far as it doesn't say otherwise."""
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("REMOVED", "1")
    program = """
    import os, sys
    print(os.environ["KEPT"], os.environ.get("REMOVED"), os.environ["ADDED"], os.getcwd(), sys.argv[1:])
    print(sys.flags.optimize, sys.flags.dev_mode)
    """
    result = capexit.run(
        program, 5, "a b", tmp_path, env={"REMOVED": None, "ADDED": "x"}, cwd=tmp_path, python_args=["-O", "-X", "dev"]
    )
    assert result.stdout == f"1 None x {tmp_path} ['5', 'a b', '{tmp_path}']\n1 True\n"


def test_pythonpath_of_the_test_keeps_its_effect(capexit, tmp_path):
    """The agent's folder goes before it, and the program doesn't find that on its path."""
    (tmp_path / "mine.py").write_text("print('imported')")
    script = tmp_path / "folder" / "script.py"
    script.parent.mkdir()
    script.write_text("import mine, sys; print([entry for entry in sys.path if 'pytest-atexit' in entry])")
    assert capexit.run(script, env={"PYTHONPATH": str(tmp_path)}).stdout == "imported\n[]\n"


def test_source_text_imports_what_the_test_can(capexit, monkeypatch, tmp_path):
    """`sys.path` of the test is theirs too; a path and a command line get nothing."""
    (tmp_path / "helper.py").write_text("print('helped')")
    monkeypatch.syspath_prepend(tmp_path)
    assert capexit.run("import helper").stdout == "helped\n"
    script = tmp_path / "below" / "script.py"
    script.parent.mkdir()
    script.write_text("import helper")
    assert "ModuleNotFoundError" in capexit.run(script).stderr


def test_the_child_starts_as_from_a_shell(capexit):
    """It leads a session of its own, with default dispositions and an empty mask, whatever the test has."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = capexit.run(
            """
            import os, resource, signal
            print(os.getsid(0) == os.getpgrp() == os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, []))
            print([signal.getsignal(s).name for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)])
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
            print(resource.getrlimit(resource.RLIMIT_CORE)[0])
            """
        )
    finally:
        signal.signal(signal.SIGHUP, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert result.stdout == "True set()\n['SIG_DFL', 'SIG_DFL', 'SIG_DFL']\nTrue\n0\n"


def test_a_shell_script_is_recorded_below(capexit, tmp_path):
    """Where the command itself is no Python, the first Python process under it is the main one."""
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\n{sys.executable} -c 'import atexit; atexit.register(print, 1)'\nexit 7\n")
    script.chmod(0o755)
    started = capexit.start([script])
    result = started.wait()
    assert result.ran == ["print"]
    assert result.returncode == 7
    assert result.parent_pid == started.pid


def test_a_command_is_looked_for_beside_the_interpreter(capexit, tmp_path):
    """As a virtual environment's scripts are."""
    tool = tmp_path / "tool"
    tool.write_text(f"#!{sys.executable}\nimport atexit\natexit.register(print, 'tool')\n")
    tool.chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    assert capexit.run(["tool"], python=tmp_path / "python").stdout == "tool\n"


def test_modules_and_packages_are_programs(capexit, tmp_path):
    """A package folder, and `python -m`."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__main__.py").write_text("import atexit, sys; atexit.register(print, *sys.argv[1:])")
    assert capexit.run(package, "a", ending="sys.exit").stdout == "a\n"
    assert capexit.run([sys.executable, "-m", "package", "b"], cwd=tmp_path).stdout == "b\n"


def test_what_the_program_does_first_wins(capexit, tmp_path):
    """`ending=` comes behind the last statement; the result says what really happened."""
    text = "import atexit, os; atexit.register(print); os._exit(5)"
    script = tmp_path / "script.py"
    script.write_text(text)
    for program in (text, script):
        result = capexit.run(program, ending="SIGTERM")
        assert (result.ending, result.status.code) == (Ending.OS_EXIT, 5)


def test_the_command_replays_the_program(capexit, tmp_path):
    """It is a shell line."""
    result = capexit.run("import os; print(os.environ['A'])", env={"A": "b c"}, cwd=tmp_path)
    assert subprocess.check_output(result.command, shell=True, text=True) == result.stdout == "b c\n"


def test_ports_are_free_and_different(capexit):
    """They can be listened on at once."""
    ports = [capexit.free_port() for _ in range(5)]
    assert len(set(ports)) == 5
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_nothing_accumulates(capexit):
    """Neither descriptors nor threads."""
    capexit.run("pass")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(20):
        capexit.run("pass")
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
