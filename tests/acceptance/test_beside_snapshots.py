"""The story of an exit, and snapshots of it by syrupy and inline-snapshot."""

from collections.abc import Callable

import pytest

Load = Callable[..., None]

PROGRAM = """
import atexit, os, sys, threading, weakref

def close(path, **options): pass
def flush(): raise OSError("disk\\nfull")
def leave(): os._exit(3)

atexit.register(close, "app.db", mode=object())
atexit.register(leave) if "leave" in sys.argv else atexit.register(flush)
atexit.register(print)
atexit.unregister(print)
class Thing: pass
thing = Thing()
weakref.finalize(thing, repr, 1)
import logging
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
def wait(): threading.main_thread().join()
threading.Thread(target=wait, name="waits").start()
"""
STORY = """
exit code 0, ended by return
main:
  ran           waits [thread]
  ran           repr(1) [finalize]
  failed        flush(): OSError: disk
  ran           close('app.db', mode=<builtins.object>)
  unregistered  print()
fork:
  skipped       close('app.db', mode=<builtins.object>) (inherited)
  skipped       flush() (inherited)
  skipped       repr(1) [finalize] (inherited)
"""
SUITE = f"""
{{imports}}
PROGRAM = {PROGRAM!r}

def test_it(capexit{{fixture}}):
    assert capexit.run(PROGRAM, allow_failures=True).story() == {{snapshot}}
    assert capexit.run(PROGRAM, "leave").story() == {{snapshot}}
"""


def test_the_story_is_the_same_each_time(capexit: object) -> None:
    """Order, states, arguments and exceptions, without anything that changes from run to run."""
    stories = {capexit.run(PROGRAM, allow_failures=True).story() for _ in range(2)}
    assert stories == {STORY.strip()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "names"),
    [
        (("syrupy", "--snapshot-update"), {"imports": "", "fixture": ", snapshot", "snapshot": "snapshot"}),
        (
            ("inline-snapshot", "--inline-snapshot=create"),
            {"imports": "from inline_snapshot import snapshot", "fixture": "", "snapshot": "snapshot()"},
        ),
    ],
    ids=["syrupy", "inline-snapshot"],
)
def test_a_snapshot_holds(
    pytester: pytest.Pytester,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    plugin: tuple[str, str],
    names: dict[str, str],
) -> None:
    """It is made once, holds the next time, and fails when the exit is another one."""
    name, make = plugin
    load(name)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # under xdist inline-snapshot writes nothing
    pytester.makepyfile(SUITE.format(**names))
    pytester.runpytest_subprocess(make)
    again = ("--inline-snapshot=disable",) if name == "inline-snapshot" else ()
    pytester.runpytest_subprocess(*again).assert_outcomes(passed=1)
    file = next(pytester.path.glob("test_*.py"))
    text = file.read_text(encoding="utf-8")
    assert "atexit.register(close" in text
    file.write_text(text.replace("atexit.register(close", "atexit.register(leave", 1), encoding="utf-8")
    pytester.runpytest_subprocess(*again).assert_outcomes(failed=1)
