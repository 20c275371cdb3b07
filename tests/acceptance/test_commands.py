"""Commands that a program calls, for which the test's own pytest-subprocess answers (`fp=`)."""

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_subprocess import FakeProcess
from pytest_subprocess.fake_popen import FakePopen

from pytest_atexit import CapExit, Command, CommandNotRegistered, ExitResult

MARK = "ran for real"


def deeds() -> list[object]:
    """What code under test does with subprocess: what each call returns or raises."""
    import subprocess
    from pathlib import Path

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def told(call):
        try:
            result = call()
        except subprocess.TimeoutExpired as error:
            return ["TimeoutExpired", error.cmd]
        except Exception as error:
            return [type(error).__name__, str(error)]
        if isinstance(result, subprocess.CompletedProcess):
            return [result.args, result.returncode, result.stdout, result.stderr]
        return result

    def opened(*args, **options):
        with subprocess.Popen(*args, **options) as process:
            out = process.stdout.read()
            return [process.wait(), process.poll(), process.returncode, out, process.args]

    def spoken_to(text):
        process = subprocess.Popen(["ask"], stdin=subprocess.PIPE, **pipes, text=True)
        return [*process.communicate(text), process.returncode]

    def deaf(text):
        process = subprocess.Popen(["deaf"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdin.write(text)
        return [process.communicate()[0], process.poll()]

    return [
        told(lambda: subprocess.run(["docker", "stop", "web"], capture_output=True)),
        told(lambda: subprocess.run("docker stop web", shell=True, capture_output=True, text=True)),
        told(lambda: subprocess.run(("docker", "stop", "web"), capture_output=True, universal_newlines=True)),
        told(lambda: subprocess.run(["docker", "fail"], check=True, capture_output=True)),
        told(lambda: subprocess.call(["docker", "fail"])),
        told(lambda: subprocess.check_call(["docker", "fail"])),
        told(lambda: subprocess.check_output(["both"], stderr=subprocess.STDOUT, text=True)),
        told(lambda: subprocess.run(["lines"], capture_output=True, text=True)),
        told(lambda: subprocess.run(["lines"], capture_output=True)),
        told(lambda: subprocess.run(["any", "one", "two"], capture_output=True)),
        told(lambda: subprocess.run([Path("/opt/bin/tool"), "-x"], capture_output=True).stdout),
        told(lambda: subprocess.run(["cmake", "-S/src"], capture_output=True, encoding="latin-1")),
        told(lambda: subprocess.getstatusoutput("docker stop web")),
        told(lambda: opened(["docker", "stop", "web"], stdout=subprocess.PIPE)),
        told(lambda: opened(["docker", "stop", "web"], **pipes, encoding="utf-8", bufsize=1)),
        told(lambda: subprocess.run(["once"], capture_output=True)),
        told(lambda: subprocess.run(["once"], capture_output=True)),
        told(lambda: subprocess.run(["nothing", "registered"])),
        told(lambda: subprocess.run("nothing | more", shell=True)),
        told(lambda: subprocess.Popen(["raises"], **pipes).communicate()),
        told(lambda: subprocess.run(["raises"])),
        told(lambda: subprocess.run(["changes"], check=True)),
        told(lambda: subprocess.Popen(["slow"]).wait(0.05)),
        told(lambda: subprocess.Popen(["slow"]).wait()),
        told(lambda: spoken_to("who")),
        told(lambda: subprocess.run(["ask"], input=b"bytes", capture_output=True)),
        told(lambda: deaf("nobody reads this")),
        told(lambda: subprocess.run(["deaf"], input="x" * 200_000, text=True, capture_output=True)),
    ]


def register(fp: FakeProcess) -> None:
    """What the test registers for them."""

    def raises(process: FakePopen) -> None:
        raise PermissionError(13, "the daemon is not allowed", "sock")

    def changes(process: FakePopen, code: int) -> None:
        process.returncode = code

    fp.register(["docker", "stop", "web"], stdout="web\n", stderr=b"warning\n", occurrences=6)
    fp.register(["docker", "fail"], stderr="no such container", returncode=125, occurrences=3)
    fp.register(["both"], stdout="out\n", stderr="err\n")
    fp.register(["lines"], stdout=["one", b"two"], stderr=("three",), occurrences=2)
    fp.register(["any", fp.any(min=1)], stdout="any")
    fp.register([fp.program("tool"), "-x"], stdout="program")
    if hasattr(fp, "regex"):  # from 1.6 on
        fp.register(["cmake", fp.regex(r"-S.+")], stdout="é")
    fp.register(["once"], stdout="first")
    fp.register(["raises"], callback=raises, occurrences=2)
    fp.register(["changes"], callback=changes, callback_kwargs={"code": 7})
    fp.register(["slow"], wait=0.3, returncode=4, occurrences=2)
    fp.register(["ask"], stdout="", stdin_callable=lambda text: {"stdout": text, "stderr": "heard"}, occurrences=2)
    fp.register(["deaf"], stdout="said", occurrences=2)


def test_what_is_registered_holds_in_the_child_as_in_the_process_of_the_test(capexit: CapExit) -> None:
    """The same returns, exceptions, calls and counts, of every form of registration and of call."""
    with FakeProcess() as fp:
        register(fp)
        expected, calls = deeds(), list(fp.calls)
        if expected[-2][0] == "TypeError":  # up to 1.5.4 its stdin takes bytes only: real ones take text in text mode
            expected[-2] = ["said", 0]
        counts = {each: fp.call_count(each) for each in ("docker stop web", "docker fail", "once")}
    with FakeProcess() as fp:
        register(fp)

        def program() -> None:
            import atexit

            atexit.register(lambda: print(ascii(deeds())))

        with pytest.raises(CommandNotRegistered) as caught:
            capexit.run(program, fp=fp)
        told = caught.value.result.stdout.splitlines()[-1]
        assert ast.literal_eval(told) == expected
        assert list(fp.calls) == calls
        assert {each: fp.call_count(each) for each in counts} == counts


def test_commands_say_which_process_and_handler_called_them(
    answered: Callable[..., ExitResult], fp: FakeProcess
) -> None:
    """In the main code, in handlers, beside them in a thread, in a forked child, by a shell and by exec."""
    for command in ("main", "in_handler", "in_thread", "shell_in_thread", "shell", "forked", "became"):
        fp.register([command], returncode=3)

    def program() -> None:
        import atexit
        import os
        import subprocess
        import sys
        import threading

        def in_child() -> None:
            subprocess.call(["forked"])

        if pid := os.fork():
            os.waitpid(pid, 0)
        else:
            atexit.register(in_child)
            sys.exit()

        def beside() -> None:
            start.wait()
            subprocess.call(["in_thread"])
            os.system("shell_in_thread")
            done.set()

        start, done = threading.Event(), threading.Event()
        threading.Thread(target=beside, daemon=True).start()

        @atexit.register
        def last() -> None:
            os.execvp("became", ["became"])

        @atexit.register
        def first() -> None:
            subprocess.call(["in_handler"])
            start.set()
            done.wait()
            os.system("shell")

        subprocess.call(["main"])

    result = answered(program)
    child = next(record.pid for record in result.children if record.role == "fork")
    assert result.commands == [
        Command(("forked",), child, "in_child", 3),
        Command(("main",), result.pid, None, 3),
        Command(("in_handler",), result.pid, "first", 3),
        Command(("in_thread",), result.pid, None, 3),
        Command(("shell_in_thread",), result.pid, None, 3),
        Command(("shell",), result.pid, "first", 3),
        Command(("became",), result.pid, "last", 3),
    ]
    assert [*fp.calls] == [[*command.command] for command in result.commands]
    assert (result.returncode, result.unfinished, result.left_running) == (3, ["last"], [])


@pytest.fixture
def danger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real command on PATH that leaves a file when it runs."""
    command = tmp_path / "bin" / "danger"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n: > {tmp_path}/harm\necho {MARK}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return command


SHELL_LINES = (
    "{0} now",
    "true && X=1 '{0}' now; (cd / && {0} now | cat)",
    'if ! {0} now; then {0} now; else "{0}" now; fi; for x in 1 2; do {0} $x; done',
    "f() {{ {0} now; }}; f; 2>&1 >/dev/null {0} now; 2>/dev/null exec {0} now",
    'echo $({0} now) "`{0} now` $(echo a; {0} now)" # {0}',
    "eval {0} now; eval '{0} now'; X='a b' command {0} now & wait",
    "sh -c '{0} now'; bash -ec 'exec {0} now'; sh $SCRIPT {0}; trap '{0} now' EXIT; echo '{0} now' | sh",
    'command -p {0} now; X="{0} now"; $X; {0}* now; set -- {0}; exec "$@"',
    "python3 -S -c \"import os; os.system('{0} now')\"; PATH=$FOLDER danger now; PATH=$FOLDER:$PATH; danger now",
    "$FOLDER/sh -c x; bash -c 'exec -a x {0} now'; bash -c 'function f {{ X+=1 {0} now; coproc {0}; wait; }}; f'",
)

SHELL_LINES_TO_KEEP = (
    "echo $((6/2)) $(true) /a/b; a=/x; echo ${a:-/y} ${a##*/}",
    "case /b in /a) echo a;; (/b|/c) case x in x) echo b;; esac;; esac; echo $(case x in x) echo /c;; esac)",
    "f() { echo f/$1; return 4; }; f a || g() (echo $?); g",
    "while read x; do echo $x; done <<E\n/a $((4/2)) $(echo /b)\nE",
    "eval 'echo $((9/3))'; trap 'echo bye $((8/4))' EXIT; X='echo y'; $X; $NOPE $X; exec $X",
    "X=false; $X || echo $?; X=cd; $X /usr; pwd; X='exit 5'; $X",
    "sh -euc 'echo $0 $# /t; false; echo no' a b; echo $?; sh -s b c <<'E'\necho $# $2 /x\nE",
    "A=1; A=2 X='sh -c'; $X 'echo /$A'; set -- echo /q; \"$@\"; exec \"$@\" z",
    'python3 -c \'import sys; print(sys.argv, sys.path)\' /a; PATH=/nowhere:$PATH; echo "$(echo ")") ${PATH##*:}"',
    "bash -c '[[ /a == /b || (/a == /a) ]] && a=(/x /y); echo ${a[1]} $\"/z\"'",
)


def tries(path: str, shell_lines: tuple[str, ...]) -> None:
    """A program that calls an unregistered command in every way, and swallows what comes of it."""
    import asyncio
    import atexit
    import os
    import posix
    import subprocess

    def forked(call, *args):
        if pid := os.fork():
            return os.waitpid(pid, 0)[1]
        try:
            call(*args)
        finally:
            os._exit(9)

    def attempt(call, *args, **options):
        try:
            print(getattr(call, "__name__", call), call(*args, **options), flush=True)
        except Exception as error:
            print(getattr(call, "__name__", call), type(error).__name__, flush=True)

    @atexit.register
    def stop() -> None:
        for name in "danger", path:
            attempt(subprocess.run, [name, "now"])
            attempt(subprocess.run, f"{name} now", shell=True)
            attempt(subprocess.check_output, ["env", name, "now"])
            attempt(os.popen, f"{name} now")
            for line in shell_lines:
                attempt(os.system, line.format(name))
            attempt(os.spawnlp, os.P_WAIT, name, name, "now")
            attempt(os.posix_spawnp, name, [name, "now"], os.environ)
            attempt(os.posix_spawnp, name, [name, "now"], {"PATH": os.path.dirname(path)})
            attempt(forked, os.execvp, name, [name, "now"])
            attempt(forked, os.execvpe, name, [name, "now"], {"PATH": os.path.dirname(path)})
            attempt(forked, os.execlp, "sh", "sh", "-c", f"{name} now")
            attempt(asyncio.run, asyncio.create_subprocess_exec(name, "now"))
            attempt(asyncio.run, asyncio.create_subprocess_shell(f"{name} now"))
        for disguise in "python3", "python-danger", "sh":
            attempt(forked, os.execv, os.path.join(os.environ["FOLDER"], disguise), [disguise, "-c", "now"])
        for function in os.execv, posix.execv:
            attempt(function, path, ["danger", "now"])
        attempt(os.execve, path, ["danger", "now"], {})
        attempt(os.spawnv, os.P_WAIT, path, ["danger", "now"])
        attempt(os.spawnve, os.P_WAIT, path, ["danger", "now"], {})
        attempt(os.posix_spawn, path, ["danger", "now"], {})
        os.environ.clear()
        attempt(os.system, "danger now")
        os.environ["PATH"] = os.path.dirname(path)
        attempt(os.system, "danger now")
        attempt(subprocess.run, ["danger", "now"], env={})


def test_what_is_not_registered_never_runs(
    answered: Callable[..., ExitResult], danger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever calls it, by name or by path, in whatever environment: and the test fails, though nothing was raised."""
    (tmp_path / "script").write_text("$1 now\n/bin/../$1 now\n" + f"{danger} now\n")
    monkeypatch.setenv("SCRIPT", str(tmp_path / "script"))
    monkeypatch.setenv("FOLDER", str(danger.parent / "disguised"))
    (danger.parent / "disguised").mkdir()
    for name in "danger", "python3", "python-danger", "sh":
        (danger.parent / "disguised" / name).symlink_to(danger)
    with pytest.raises(CommandNotRegistered) as caught:
        answered(tries, str(danger), SHELL_LINES, allow_failures=True)
    result = caught.value.result
    assert not (tmp_path / "harm").exists(), result.stdout
    assert MARK not in result.stdout
    assert (result.failed, result.ran, result.commands) == ([], ["stop"], [])
    assert "handler stop in process" in str(caught.value)


def test_a_script_that_is_let_through_reaches_nothing_real_by_a_path(
    capexit: CapExit, fp: FakeProcess, danger: Path, tmp_path: Path
) -> None:
    """It runs, with its arguments and its own name, and what it calls asks: be it started by `Popen` or by its path."""
    script = tmp_path / "clean.sh"
    script.write_text(f"#!/bin/sh -e\necho begun $0 $1 $-\n{danger} now || echo refused\n")
    script.chmod(0o755)
    program = f"""
    import atexit, os, subprocess
    atexit.register(subprocess.run, ["sh", "clean.sh", "by shell"], cwd={str(tmp_path)!r})
    atexit.register(subprocess.run, ["{script}", "by path"])
    os.spawnl(os.P_WAIT, "{script}", "{script}", "spawned")  # 3.12 refuses to fork at exit
    """
    fp.pass_command([str(script), fp.any()], occurrences=2)
    fp.pass_command(["sh", "clean.sh", "by shell"])
    with pytest.raises(CommandNotRegistered) as caught:
        capexit.run(program, fp=fp)
    result = caught.value.result
    assert not (tmp_path / "harm").exists()
    begun = [f"begun {script} spawned e", f"begun {script} by path e", "begun clean.sh by shell"]
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        word for line in begun for word in (line, "refused")
    ]


@pytest.mark.parametrize("by", ["shell", "path"])
def test_a_script_that_is_the_program_reaches_nothing_real_by_a_path(
    by: str, capexit: CapExit, fp: FakeProcess, danger: Path, tmp_path: Path
) -> None:
    """It runs natively, with its arguments and its own name, and what it calls asks."""
    script = tmp_path / "clean.sh"
    script.write_text(
        f"#!/bin/sh\necho begun $0 $1\n{danger} now || echo refused\nexec {sys.executable} -c 'print(3)'\n"
    )
    script.chmod(0o755)
    with pytest.raises(CommandNotRegistered) as caught:
        capexit.run([*{"shell": ["sh"], "path": []}[by], script, "x"], fp=fp)
    assert not (tmp_path / "harm").exists()
    assert caught.value.result.stdout == f"begun {script} x\nrefused\n3\n"


def test_copies_of_modules_ask(
    answered: Callable[..., ExitResult], fp: FakeProcess, danger: Path, tmp_path: Path
) -> None:
    """What a program has made for itself, and what it calls below `subprocess`."""
    fp.register(["true"])

    def program(path: str) -> None:
        import importlib.util
        import multiprocessing.util
        import os
        import subprocess
        import sys

        spec = importlib.util.find_spec("subprocess")
        copy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(copy)
        del sys.modules["posix"]
        posix = importlib.import_module("posix")
        print(posix.system(path), subprocess.call(["true"]), flush=True)

        def attempt(**options: object) -> None:
            try:
                copy.run([path], **options)
            except Exception as error:
                print(type(error).__name__)

        attempt()
        attempt(env={})
        attempt(close_fds=False)
        multiprocessing.util.spawnv_passfds(os.fsencode(path), [path], ())

    with pytest.raises(CommandNotRegistered) as caught:
        answered(program, str(danger), allow_failures=True)
    assert caught.value.result.stdout.split() == [str(127 << 8), "0", *["ProcessNotRegisteredError"] * 3]
    assert str(caught.value).count("called by no handler") == 5
    assert not (tmp_path / "harm").exists()


def test_a_shell_computes_what_it_would(capexit: CapExit, fp: FakeProcess) -> None:
    """Only what it executes is exchanged: no pattern, number, document or argument that looks like a path."""

    def program(lines: tuple[str, ...]) -> None:
        import os

        for line in lines:
            print(os.system(line), flush=True)

    plain = capexit.run(program, SHELL_LINES_TO_KEEP)
    fp.allow_unregistered(True)
    result = capexit.run(program, SHELL_LINES_TO_KEEP, fp=fp)
    assert (result.stdout, result.stderr) == (plain.stdout, plain.stderr)


def test_functions_of_os_meet_what_is_registered(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """They start or become real processes, which say, and end as, what is registered; also by a path without a file."""
    fp.register(["docker", "ps"], stdout="listed\n", returncode=3, occurrences=5)
    fp.register(["/no/such/tool", "-x"], stdout="tool\n", stderr="err\n", occurrences=4)

    def program() -> None:
        import os
        import sys

        out = sys.stdout
        print(os.waitstatus_to_exitcode(os.system("docker ps")), file=out, flush=True)
        print(os.popen("docker ps").read(), os.popen("docker ps; /no/such/tool -x 2>&1").read(), end="", flush=True)
        print(os.spawnlp(os.P_WAIT, "docker", "docker", "ps"), flush=True)
        print(os.waitpid(os.posix_spawnp("docker", ["docker", "ps"], os.environ), 0)[1] >> 8, flush=True)
        print(os.spawnv(os.P_WAIT, "/no/such/tool", ["tool", "-x"]), flush=True)
        print(os.waitpid(os.posix_spawn("/no/such/tool", ["tool", "-x"], {}), 0)[1], flush=True)
        os.execv("/no/such/tool", ["tool", "-x"])

    result = answered(program)
    assert result.stdout.replace("\n", " ") == "listed 3 listed  listed tool err listed 3 listed 3 tool 0 tool 0 tool "
    assert (result.returncode, result.ending) == (0, "exec")
    assert [command.returncode for command in result.commands] == [3, 3, 3, 0, 3, 3, 0, 0, 0]
    assert {command.pid for command in result.commands} == {result.pid}


def test_python_processes_below_ask_too(answered: Callable[..., ExitResult], fp: FakeProcess, tmp_path: Path) -> None:
    """Forked, spawned and executed ones, workers of multiprocessing of every kind, and those below a shell's script."""
    fp.register(["docker", fp.any()], stdout="", occurrences=20)
    work = "import atexit, subprocess, sys; atexit.register(subprocess.call, ['docker', *sys.argv[1:]])"
    (tmp_path / "worker.py").write_text(work)
    script = tmp_path / "run.sh"
    script.write_text(f"#!/bin/sh\ndocker in script\n{sys.executable} {tmp_path}/worker.py python\nexec $0.program\n")
    fp.pass_command([f"{script}.program"])
    (tmp_path / "run.sh.program").write_text(
        f"""#!{sys.executable}
import atexit, multiprocessing, os, subprocess, sys

def work(name):
    subprocess.call(["docker", name])

if __name__ == "__main__":
    for method in "fork", "spawn", "forkserver":
        process = multiprocessing.get_context(method).Process(target=work, args=(method,))
        process.start()
        process.join()
    os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "{tmp_path}/worker.py", "spawnv"])
    for name in "spawnvp", "execvp":
        if pid := os.fork():
            os.waitpid(pid, 0)
        else:
            atexit.register(work, "before")
            os.execvp("python3", ["python3", "{tmp_path}/worker.py", name])
"""
    )
    for file in script, tmp_path / "run.sh.program":
        file.chmod(0o755)
    result = answered([script])
    commands = [command for command in result.commands if command.command[0] == "docker"]
    assert [" ".join(command.command[1:]) for command in commands] == [
        *("in script", "python", "fork", "spawn", "forkserver", "spawnv", "spawnvp", "execvp"),
    ]
    pids = {record.pid for record in (result, *result.children)}
    assert {command.pid for command in commands[1:]} <= pids
    assert {command.handler for command in commands[5:]} == {"call"}


def test_what_is_passed_or_allowed_is_real(
    answered: Callable[..., ExitResult], fp: FakeProcess, danger: Path, tmp_path: Path
) -> None:
    """`pass_command` lets so many calls through, `allow_unregistered` all; what a passed script calls asks again."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\ndanger now\necho code $?\n")
    script.chmod(0o755)
    fp.pass_command(["danger", "now"], occurrences=2)
    fp.pass_command("danger now && danger again")
    fp.pass_command([str(script)])

    def program(script: str, tries: int) -> None:
        import os
        import subprocess

        run = {"capture_output": True, "text": True}
        print(subprocess.run(["danger", "now"], **run).stdout, end="", flush=True)
        print(subprocess.check_output("danger now && danger again", shell=True, text=True), end="", flush=True)
        os.system("danger now")
        for _ in range(tries):
            subprocess.run([script])
            print(subprocess.call(["danger", "once more"]))

    with pytest.raises(CommandNotRegistered, match=r"\['danger', 'now'\]") as caught:
        answered(program, str(script), 1)
    stdout = caught.value.result.stdout
    assert stdout == f"{MARK}\n" * 4 + "code 127\n"
    assert [command.returncode for command in caught.value.result.commands] == [0, 0, None, 0]
    fp.allow_unregistered(True)
    assert answered(program, str(script), 2).stdout == f"{MARK}\n" * 4 + f"{MARK}\ncode 0\n{MARK}\n0\n" * 2


def test_the_last_registration_is_kept(answered: Callable[..., ExitResult], fp: FakeProcess) -> None:
    """`occurrences` and `keep_last_process` are the library's; what is registered while the program runs counts."""
    fp.keep_last_process(True)
    fp.register("first", returncode=1)
    fp.register("first", returncode=2)
    program = "import subprocess\nprint([subprocess.call('first', shell=True) for _ in range(4)])"
    assert answered(program).stdout == "[1, 2, 2, 2]\n"


def test_calls_are_known_as_they_happen(capexit: CapExit, fp: FakeProcess) -> None:
    """While the program runs: what is registered later, by name or path, is answered, and a callback may kill it."""
    recorder = fp.register(["docker", "first"])

    def program() -> None:
        import atexit
        import os
        import subprocess

        atexit.register(lambda: subprocess.run(["docker", "last"]))
        subprocess.run(["docker", "first"])
        print("called", flush=True)
        input()
        os.system("later; docker-later x")

    reader, writer = os.pipe()
    with open(reader) as stdin, open(writer, "w") as answers, capexit.start(program, fp=fp, stdin=stdin) as running:
        running.wait_for_output("called")
        assert (fp.call_count("docker first"), recorder.was_called()) == (1, True)
        later = fp.register(["later"])
        fp.register(["docker-later", "x"])
        killed = fp.register(["docker", "last"], callback=lambda process: running.kill(), returncode=5)
        answers.write("\n")
        answers.flush()
        result = running.wait()
    assert later.call_count() == killed.call_count() == 1
    assert (result.ending, result.unfinished, result.left_running) == ("SIGKILL", ["<lambda>"], [])
    assert [(command.command[-1], command.handler) for command in result.commands] == [
        *(("first", None), ("later", None), ("x", None), ("last", "<lambda>")),
    ]
    assert result.commands[-1].returncode == 5


def test_interpreters_are_real_unless_they_are_registered(
    answered: Callable[..., ExitResult], fp: FakeProcess, danger: Path, tmp_path: Path
) -> None:
    """For all of this is in a Python, too, and what a shell calls asks; in a cleaned environment as well."""
    (tmp_path / "script").write_text("#!/bin/sh\necho in $1\ndanger $1\n")
    (tmp_path / "script").chmod(0o755)
    fp.register(["python3", "manage.py"], stdout="managed\n", occurrences=2)
    fp.pass_command([str(tmp_path / "script"), fp.any()], occurrences=2)

    def program(script: str) -> None:
        import os
        import subprocess
        import sys

        os.system(
            f"python3 -c 'print(1)'; '{sys.executable}' -c 'print(2)'; python3 manage.py; sh -c 'echo 3; danger a'"
        )
        os.spawnlp(os.P_WAIT, "python3", "python3", "manage.py")
        subprocess.run([script, "b"], env={})
        subprocess.run([script, "c"], env={"PATH": os.path.dirname(script) + "/bin:/bin"})
        os.execle("/bin/sh", "sh", "-c", "echo 4; danger d", {})

    with pytest.raises(CommandNotRegistered) as caught:
        answered(program, str(tmp_path / "script"))
    told = caught.value.result.stdout.split()
    assert told == ["1", "2", "managed", "3", "managed", "in", "b", "in", "c", "4"]
    assert [line.split("'")[3] for line in str(caught.value).splitlines() if "called by" in line] == [
        "a",
        "b",
        "c",
        "d",
    ]
    assert not (tmp_path / "harm").exists()


def test_a_failing_test_shows_what_was_called(
    inner: Callable[..., pytest.RunResult], load: Callable[..., None]
) -> None:
    """In its report section; and a program that nobody waited for is held to its registrations, too."""
    load("pytest-subprocess")
    result = inner(
        """
        import pytest
        from pytest_atexit import ProgramEnded

        PROGRAM = "import atexit, subprocess; atexit.register(subprocess.call, ['docker', 'stop', 'my web'])"

        def test_shown(capexit, fp):
            fp.register(["docker", "stop", "my web"], returncode=2)
            assert capexit.run(PROGRAM, fp=fp).commands == []

        def test_unattended(capexit, fp):
            with pytest.raises(ProgramEnded):
                capexit.start(PROGRAM, fp=fp).wait_for_output("nothing of the kind")
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["command by call: docker stop 'my web'  returned 2"])
    result.stdout.fnmatch_lines(["CommandNotRegistered: a command was called that fp= has no registration for*"])
