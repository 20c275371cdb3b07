"""No zombie, descriptor, thread, port or memory is left of programs, however many there were."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_atexit import CapExit

# A test file for a pytest that orphans are handed to, as PID 1 of a container is.
REAPER = """
import os, subprocess
from pathlib import Path
import pytest

ORPHANS = '''
import os, subprocess, time
def orphan(new_session):
    if os.fork() == 0:
        if new_session:
            os.setsid()
        if os.fork() == 0:
            time.sleep(SECONDS)
        os._exit(0)
    os.wait()
orphan(True)
orphan(False)
subprocess.run(["sh", "-c", "sleep SECONDS &"])
print("orphans", flush=True)
'''

def zombies():
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if stat[0] == "Z" and int(stat[1]) == os.getpid():
            found.append(int(folder.name))
    return found

@pytest.mark.atexit(linger=0.05)
@pytest.mark.parametrize("seconds", [0, 60])
def test_orphans(capexit, seconds):
    if PRCTL:
        import ctypes
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    assert os.getpid() == 1 or PRCTL
    own = subprocess.Popen(["sh", "-c", "exit 7"])
    os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
    capexit.run(ORPHANS.replace("SECONDS", str(seconds)))
    capexit.close()
    assert zombies() == [own.pid]
    assert own.wait() == 7

def test_later():
    assert zombies() == []
"""


def namespace() -> list[str]:
    """A command that runs another one as PID 1, or a skip."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no PID namespace can be made: {tried.stderr.decode()}")
    return command


@pytest.mark.parametrize("is_init", [True, False], ids=["PID 1", "subreaper"])
def test_orphans_are_reaped(is_init: bool, tmp_path: Path, inner_tmpdir: Path, load: object) -> None:
    """Where orphans become children of pytest, those of programs are reaped, and no other child is."""
    file = tmp_path / "test_inner.py"
    file.write_text(f"PRCTL = {not is_init}\n{REAPER}")
    command = [sys.executable, "-m", "pytest", str(file)]
    result = subprocess.run(
        [*(namespace() if is_init else ()), *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout


def test_ports_are_given_back(inner) -> None:
    """What `free_port` reserved is free when the test is over."""
    result = inner(
        """
        PORTS = []

        def reserved(port):
            return f"@pytest-atexit-port-{port}" in open("/proc/net/unix").read().split()

        def test_takes(capexit):
            PORTS.append(capexit.free_port())
            assert reserved(PORTS[0])

        def test_is_free():
            assert not reserved(PORTS[0])
        """
    )
    result.assert_outcomes(passed=2)


OUTPUTS = {
    "megabytes to both": (
        "import os\nfor _ in range(64):\n    os.write(1, b'x' * 65536)\n    os.write(2, b'y' * 65536)",
        1 << 22,
    ),
    "closed streams": ("import os\nos.write(1, b'x')\nos.close(1)\nos.close(2)", 1),
    "held open by another process": (
        "import os, time\nos.write(1, b'x')\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)",
        1,
    ),
}


@pytest.mark.atexit(linger=0.05)
@pytest.mark.parametrize(("program", "size"), [pytest.param(*case, id=name) for name, case in OUTPUTS.items()])
def test_no_output_can_hold_the_test_up(capexit: CapExit, program: str, size: int) -> None:
    """Neither much output nor streams that never end keep the result from coming, complete."""
    result = capexit.run(program, timeout=20)
    assert result.returncode == 0
    assert len(result.stdout_bytes) == size


def test_exhausted_descriptors(inner) -> None:
    """At whatever point descriptors run out, nothing is left of the program that could not be watched."""
    result = inner(
        """
        import os, resource, sys
        from pathlib import Path
        import pytest
        from pytest_atexit import LaunchError

        def descriptors():
            return [int(name) for name in os.listdir("/proc/self/fd")]

        def children():
            tasks = Path("/proc/self/task").glob("*/children")
            return [pid for task in tasks for pid in task.read_text().split()]

        @pytest.mark.atexit(launcher="spawn")  # each limit is a kind of start, which would have a fork server
        def test_it(capexit):
            capexit.run("pass")
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            results = []
            before = len(descriptors())
            for more in range(24):
                # From the last one on, each time: Popen itself keeps a few when it fails (Python 3.10).
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 1 + more, hard))
                try:
                    capexit.run("pass")
                    results.append("ran")
                except LaunchError:
                    results.append("not started")
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert children() == []
            assert results[0] == "not started"
            assert results[-1] == "ran"
            assert sys.version_info < (3, 11) or len(descriptors()) == before
        """,
        "-p",
        "no:warnings",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)  # 1,000 programs
def test_a_thousand_programs(inner) -> None:
    """After 1,000 programs in one session there are as many descriptors, threads, children and folders as before."""
    result = inner(
        """
        import os, tempfile, threading
        from pathlib import Path
        import pytest

        def counts():
            children = [pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]
            folders = list(Path(tempfile.gettempdir()).glob("pytest-atexit-*/*"))
            return len(os.listdir("/proc/self/fd")), threading.active_count(), len(children), len(folders)

        def memory():
            return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

        SEEN = []

        @pytest.mark.parametrize("number", range(40))
        def test_some(capexit, number):
            SEEN.append((counts(), memory()))
            for _ in range(25):
                capexit.run("import atexit, os; atexit.register(print); os.fork()")

        def test_counts():
            (first, _), (early, memory_early), (last, memory_late) = SEEN[1], SEEN[10], (counts(), memory())
            assert first == early == last
            assert memory_late - memory_early < 16  # MiB; pytest itself keeps the reports of the tests
        """,
        timeout=500,
    )
    result.assert_outcomes(passed=41)
