"""The agent where no bytecode lies ready, as in a descendant of another version of Python: its sources do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_atexit import CapExit, ExitResult
from pytest_atexit._launch import _bytecode

ALL_PARTS = """
import atexit, os, sys, threading

def handler(*args, **kwargs):
    os.write(1, b"%d ran\\n" % len(args))

def fails():
    raise ValueError("text")

class Removed:
    def __call__(self): pass

for _ in range(12):
    atexit.register(handler, 1)
removed = Removed()
atexit.register(removed)
atexit.unregister(removed)
atexit.register(handler, 1, 2, key=3)
atexit.register(fails)
if (child := os.fork()) == 0:
    atexit._clear()
    os._exit(3)
os.waitpid(child, 0)
thread = threading.Thread(target=atexit.register, args=(handler, 1, 2, 3))
thread.start()
thread.join()
"""


@pytest.fixture
def without_bytecode(capexit: CapExit, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has the agent made anew, with nothing that compiles it."""
    session = capexit._session
    monkeypatch.setattr(_bytecode, "compile_agent", lambda *_: None)
    monkeypatch.delitem(vars(session), "agent", raising=False)
    assert not [*session.agent.folder.rglob("*.pyc")]
    yield
    session.agent.close()


@pytest.mark.usefixtures("without_bytecode")
@pytest.mark.parametrize("archived", [False, True])
def test_the_sources_do(
    archived: bool, same: Callable[..., ExitResult], script: Callable[..., Path], tmp_path: Path
) -> None:
    """All parts of the agent work, from the folder and from the archive, and the program can't tell."""
    env = {"PYTHONDONTWRITEBYTECODE": "1", **({"PYTHONPYCACHEPREFIX": str(tmp_path / "no")} if archived else {})}
    result = same(script(ALL_PARTS), env=env)
    assert result.ran == ["handler", "fails", *["handler"] * 13]
    assert [handler.args for handler in result.timeline[:3]] == [(1, 2, 3), (), (1, 2)]
    assert (result.failed, result.unregistered) == (["fails"], ["Removed"])
    assert [child.unregistered for child in result.children] == [["handler"] * 13 + ["fails"]]
