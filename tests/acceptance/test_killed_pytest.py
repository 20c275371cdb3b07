"""What is left when pytest itself is killed, or ends without a goodbye: nothing. The guardian sees to it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Witness = Callable[..., dict[str, Any]]

ENDLESS = "import os, time\nos.write(1, b'ready\\n')\nwhile True: time.sleep(60)\n"

# Runs pytest and sees all that descends from it, wherever it goes: orphans become children of a subreaper.
WITNESS = r"""
import ctypes, json, os, select, signal, subprocess, sys
from pathlib import Path

def descendants():
    found, more = [], [os.getpid()]
    while more:
        pid = more.pop()
        for task in Path(f"/proc/{pid}/task").glob("*"):
            try:
                children = [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
            found += children
            more += children
    return found

def title(pid):
    return " ".join(Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0"))[:200]

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored: in the background of a shell script
ready, say_ready = os.pipe()
go, say_go = os.pipe()
end, say_end = os.pipe()
names = {"READY": say_ready, "GO": go, "END": end}
env = {**os.environ, **{name: f"/proc/{os.getpid()}/fd/{number}" for name, number in names.items()}}
pytest = subprocess.Popen(sys.argv[2:], env=env, stdout=2, start_new_session=True)
select.select([ready, os.pidfd_open(pytest.pid)], [], [])
seen = {pid: title(pid) for pid in descendants() if pid != pytest.pid}
waiting = {os.pidfd_open(pid): pid for pid in seen}
os.close(say_go)
poll = select.poll()
for descriptor in waiting:
    poll.register(descriptor, select.POLLIN)
while waiting and (ended := poll.poll(float(sys.argv[1]) * 1000)):
    for descriptor, _ in ended:
        poll.unregister(descriptor)
        del waiting[descriptor]
left = [title(pid) for pid in waiting.values()]
if left:
    pytest.kill()
for pid in waiting.values():
    os.kill(pid, signal.SIGKILL)
print(json.dumps({"seen": list(seen.values()), "left": left, "status": pytest.wait()}))
"""

# Programs that say "ready" when all their processes are there, and go on for ever.
PROGRAMS = {
    "plain": ENDLESS,
    "deaf": f"import signal\nfor number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)\n{ENDLESS}",
    "children": "import subprocess\nsubprocess.Popen(['sleep', '60'])\n" + ENDLESS,
    "stopped": """
import os, signal, time
if (child := os.fork()) == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(child, os.WUNTRACED)
os.write(1, b'ready\\n')
os.kill(os.getpid(), signal.SIGSTOP)
""",
    "daemon": """
import os, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.write(writer, b"x")
        while True: time.sleep(60)
    os._exit(0)
os.wait()
os.read(reader, 1)
"""
    + ENDLESS,
    "foreign daemon": "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\n" + ENDLESS,
    "foreign daemon without an environment": """
import subprocess
subprocess.Popen(['sleep', '60'], start_new_session=True, env={})
"""
    + ENDLESS,
    "renamed daemon": """
import ctypes, os, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        start, end = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[47:49])
        ctypes.memset(start, 0, end - start)  # as setproctitle does
        os.write(writer, b"x")
        while True: time.sleep(60)
    os._exit(0)
os.wait()
os.read(reader, 1)
"""
    + ENDLESS,
    "pool": """
import multiprocessing, os, time
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    with multiprocessing.Pool(1) as pool:
        pool.apply(os.getpid)
        os.write(1, b"ready\\n")
        while True: time.sleep(60)
""",
    "command": ["sh", "-c", "setsid sleep 60 & sleep 60 & echo ready; wait"],
}

# How pytest ends within a test, by a statement, and with which status.
ENDINGS = {
    "SIGTERM to the group": ("os.killpg(0, signal.SIGTERM)", -15),
    "SIGINT to the group": ("os.killpg(0, signal.SIGINT); time.sleep(60)", 2),
    "os._exit": ("os._exit(3)", 3),
    "exec": ("os.execv('/bin/true', ['true'])", 0),
    "fork": ("os.fork() or open(os.environ['END']).read(); os.kill(os.getpid(), signal.SIGKILL)", -9),
}


@pytest.fixture
def witness(tmp_path: Path, inner_tmpdir: Path, load: object) -> Witness:
    """A function that runs a test file by pytest and tells which processes there were and which of them are left."""

    def run(source: str, *options: str, seconds: float = 20) -> dict[str, Any]:
        file = tmp_path / "test_inner.py"
        file.write_text(source)
        command = [sys.executable, "-m", "pytest", *options]
        seen = subprocess.run(
            [sys.executable, "-c", WITNESS, str(seconds), *command, str(file)],
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            start_new_session=True,
            check=True,
        )
        return json.loads(seen.stdout.splitlines()[-1])

    return run


def inner_test(programs: dict[str, object], body: str) -> str:
    return f"""
import os, signal, time

PROGRAMS = {programs!r}

def test_it(capexit):
    running = [capexit.start(program) for program in PROGRAMS.values()]
    for program in running:
        program.wait_for_output("ready")
    open(os.environ["READY"], "wb").write(b"x")
    open(os.environ["GO"], "rb").read()
    {body}
"""


def test_every_kind_of_program(witness: Witness, inner_tmpdir: Path) -> None:
    """Killed with SIGKILL, pytest leaves no process of its programs and no folder, whatever they did to get away."""
    result = witness(inner_test(PROGRAMS, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert result["status"] == -9
    assert result["left"] == []
    assert len([title for title in result["seen"] if "_guard.py" not in title and "fork server" not in title]) == 20
    assert list(inner_tmpdir.iterdir()) == []


@pytest.mark.parametrize(("body", "status"), [pytest.param(*ending, id=name) for name, ending in ENDINGS.items()])
def test_every_ending_of_pytest(witness: Witness, inner_tmpdir: Path, body: str, status: int) -> None:
    """However pytest ends, its programs end, with their daemons, and so does the guardian."""
    programs = {name: PROGRAMS[name] for name in ("plain", "daemon")}
    result = witness(inner_test(programs, body))
    assert result["left"] == []
    assert result["status"] == status
    assert ["_guard.py" in title for title in result["seen"]].count(True) == 1
    assert ["fork server" in title for title in result["seen"]].count(True) == 1
    assert len(result["seen"]) == 5
    assert list(inner_tmpdir.iterdir()) == []


def test_a_crashed_worker(witness: Witness, inner_tmpdir: Path) -> None:
    """A worker of pytest-xdist has its own guardian."""
    pytest.importorskip("xdist")
    result = witness(inner_test({"plain": ENDLESS}, "os._exit(3)"), "-n1", "--max-worker-restart=0")
    assert result["status"] == 1
    assert result["left"] == []
    assert ["_guard.py" in title for title in result["seen"]].count(True) == 1
    assert list(inner_tmpdir.glob("pytest-atexit-*")) == []


def test_the_witness_sees_what_is_left(witness: Witness) -> None:
    """The tests above can fail: what a test starts by itself outlives pytest, and the witness says so."""
    sleeper = "subprocess.Popen(['sleep', '60'], start_new_session=True, env={})"
    source = inner_test({}, "os.kill(os.getpid(), signal.SIGKILL)").replace(
        "running = [", f"import subprocess; {sleeper}; running = ["
    )
    assert witness(source, seconds=0.5)["left"] == ["sleep 60 "]
